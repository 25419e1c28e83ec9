"""What every room needs: contracts of tables, files on disk, where to compute."""
