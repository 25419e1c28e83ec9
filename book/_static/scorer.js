// Who searches finds the story first and the library last; the rest is as Sphinx has it.
var Scorer = {
  score: ([page, , , , score]) => {
    if (page.startsWith("notebooks/story/") || page === "book/index") return score + 11;
    return page.startsWith("book/api") ? score - 25 : score;
  },
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: {0: 15, 1: 5, 2: -5},
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
