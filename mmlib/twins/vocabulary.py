"""Words of the twins, each list from harmless to serious; codes and titles are those of public code books."""

COMPLAINTS = (
    ("Medication refill", "Suture removal", "Toothache", "Sore throat", "Rash", "L Ankle injury")
    + ("Back pain", "Wound eval", "Laceration", "Anxiety", "Headache", "Dizziness", "Cough", "N/V")
    + ("Abd pain", "Abd pain, Vomiting", "Fever", "Palpitations", "Chest pain", "Leg swelling", "s/p Fall")
    + ("Weakness", "ILI", "Lethargy", "Dyspnea", "Hypotension", "Altered mental status", "BRBPR")
    + ("Stroke symptoms", "Respiratory distress", "Unresponsive")
)
TRANSPORT = ("WALK IN", "AMBULANCE", "HELICOPTER")
RHYTHMS = ("Normal Sinus Rhythm", "Sinus Tachycardia", "Atrial Fibrillation")
#: name, class
HOME_MEDICATIONS = (
    ("multivitamin", "Multivitamin Preparations"),
    ("loratadine", "Antihistamines - 2nd Generation"),
    ("fluticasone", "Nasal Corticosteroids"),
    ("ibuprofen", "NSAID Analgesics (COX Non-Specific)"),
    ("acetaminophen", "Analgesic or Antipyretic Non-Opioid"),
    ("cholecalciferol (vitamin D3)", "Vitamins - D Derivatives"),
    ("omeprazole", "Gastric Acid Secretion Reducing Agents - Proton Pump Inhibitors (PPIs)"),
    ("sertraline", "Antidepressant - Selective Serotonin Reuptake Inhibitors (SSRIs)"),
    ("levothyroxine", "Thyroid Hormones - Synthetic T4 (Thyroxine)"),
    ("trazodone", "Antidepressant - Serotonin-2 Antagonist-Reuptake Inhibitors (SARIs)"),
    ("albuterol sulfate", "Asthma/COPD Therapy - Beta 2-Adrenergic Agents, Inhaled, Short Acting"),
    ("simvastatin", "Antihyperlipidemic - HMG CoA Reductase Inhibitors (statins)"),
    ("atorvastatin", "Antihyperlipidemic - HMG CoA Reductase Inhibitors (statins)"),
    ("aspirin", "Platelet Aggregation Inhibitors - Salicylates"),
    ("lisinopril", "ACE Inhibitors"),
    ("amlodipine", "Calcium Channel Blockers - Dihydropyridines"),
    ("metformin", "Antihyperglycemic - Biguanides"),
    ("hydrochlorothiazide", "Diuretic - Thiazides and Related"),
    ("gabapentin", "Anticonvulsant - GABA Analogs"),
    ("metoprolol succinate", "Beta Blockers Cardiac Selective"),
    ("losartan", "Angiotensin II Receptor Blockers (ARBs)"),
    ("tiotropium bromide", "COPD Therapy - Anticholinergics, Inhaled, Long Acting"),
    ("insulin glargine", "Insulin Analogs - Long Acting"),
    ("carvedilol", "Alpha-Beta Blockers"),
    ("clopidogrel", "Platelet Aggregation Inhibitors - Thienopyridine Agents"),
    ("prednisone", "Glucocorticoids"),
    ("furosemide", "Diuretic - Loop"),
    ("warfarin", "Anticoagulants - Coumarin"),
    ("apixaban", "Direct Factor Xa Inhibitors"),
    ("spironolactone", "Aldosterone Receptor Antagonists"),
    ("digoxin", "Digitalis Glycosides"),
    ("oxycodone", "Analgesic Opioid Agonists"),
    ("tacrolimus", "Immunosuppressive - Calcineurin Inhibitors"),
    ("lactulose", "Ammonia Inhibitors"),
    ("sevelamer carbonate", "Phosphate Binders"),
    ("morphine", "Analgesic Opioid Agonists"),
)
DISPENSED = (
    ("Tetanus-Diphtheria Toxoids", "Ibuprofen", "Acetaminophen", "Diphenhydramine", "Lidocaine 5% Patch")
    + ("Famotidine", "Ondansetron", "Ketorolac", "Cyclobenzaprine", "Metoclopramide", "Cephalexin")
    + ("Oxycodone (Immediate Release)", "Aspirin", "Lorazepam", "Albuterol 0.083% Neb Soln", "Morphine")
    + ("Ipratropium Bromide Neb", "Nitroglycerin SL", "PredniSONE", "Insulin", "Potassium Chloride")
    + ("Levofloxacin", "HYDROmorphone (Dilaudid)", "CefTRIAXone", "Furosemide", "Azithromycin")
    + ("Metoprolol Tartrate", "MethylPREDNISolone Sodium Succ", "Diltiazem", "Heparin Sodium")
    + ("Piperacillin-Tazobactam", "Vancomycin", "CefePIME", "Pantoprazole", "Etomidate", "Propofol")
    + ("NORepinephrine",)
)
#: ICD code, version, title
DIAGNOSES = (
    ("Z760", 10, "ENCOUNTER FOR ISSUE OF REPEAT PRESCRIPTION"),
    ("Z4802", 10, "ENCOUNTER FOR REMOVAL OF SUTURES"),
    ("J029", 10, "ACUTE PHARYNGITIS, UNSPECIFIED"),
    ("K0889", 10, "OTHER SPECIFIED DISORDERS OF TEETH AND SUPPORTING STRUCTURES"),
    ("R21", 10, "RASH AND OTHER NONSPECIFIC SKIN ERUPTION"),
    ("84500", 9, "SPRAIN OF ANKLE, UNSPECIFIED SITE"),
    ("7242", 9, "LUMBAGO"),
    ("F419", 10, "ANXIETY DISORDER, UNSPECIFIED"),
    ("R51", 10, "HEADACHE"),
    ("7804", 9, "DIZZINESS AND GIDDINESS"),
    ("R112", 10, "NAUSEA WITH VOMITING, UNSPECIFIED"),
    ("R109", 10, "UNSPECIFIED ABDOMINAL PAIN"),
    ("4019", 9, "HYPERTENSION NOS"),
    ("I10", 10, "ESSENTIAL (PRIMARY) HYPERTENSION"),
    ("E119", 10, "TYPE 2 DIABETES MELLITUS WITHOUT COMPLICATIONS"),
    ("R079", 10, "CHEST PAIN, UNSPECIFIED"),
    ("R002", 10, "PALPITATIONS"),
    ("R55", 10, "SYNCOPE AND COLLAPSE"),
    ("5990", 9, "URIN TRACT INFECTION NOS"),
    ("L03116", 10, "CELLULITIS OF LEFT LOWER LIMB"),
    ("R509", 10, "FEVER, UNSPECIFIED"),
    ("R0600", 10, "DYSPNEA, UNSPECIFIED"),
    ("R531", 10, "WEAKNESS"),
    ("J449", 10, "CHRONIC OBSTRUCTIVE PULMONARY DISEASE, UNSPECIFIED"),
    ("42731", 9, "ATRIAL FIBRILLATION"),
    ("N179", 10, "ACUTE KIDNEY FAILURE, UNSPECIFIED"),
    ("J189", 10, "PNEUMONIA, UNSPECIFIED ORGANISM"),
    ("4280", 9, "CONGESTIVE HEART FAILURE, UNSPECIFIED"),
    ("I509", 10, "HEART FAILURE, UNSPECIFIED"),
    ("K922", 10, "GASTROINTESTINAL HEMORRHAGE, UNSPECIFIED"),
    ("R4182", 10, "ALTERED MENTAL STATUS, UNSPECIFIED"),
    ("I214", 10, "NON-ST ELEVATION (NSTEMI) MYOCARDIAL INFARCTION"),
    ("I639", 10, "CEREBRAL INFARCTION, UNSPECIFIED"),
    ("A419", 10, "SEPSIS, UNSPECIFIED ORGANISM"),
    ("J9600", 10, "ACUTE RESPIRATORY FAILURE, UNSP W HYPOXIA OR HYPERCAPNIA"),
    ("R6521", 10, "SEVERE SEPSIS WITH SEPTIC SHOCK"),
)
#: Race as the hospital records it, by the group of the causal model.
RECORDED_RACE = {
    "White": ("WHITE", "WHITE - OTHER EUROPEAN", "WHITE - RUSSIAN", "PORTUGUESE"),
    "Black": ("BLACK/AFRICAN AMERICAN", "BLACK/CAPE VERDEAN", "BLACK/CARIBBEAN ISLAND"),
    "Hispanic": ("HISPANIC/LATINO - PUERTO RICAN", "HISPANIC/LATINO - DOMINICAN", "HISPANIC OR LATINO"),
    "Asian": ("ASIAN - CHINESE", "ASIAN", "ASIAN - SOUTH EAST ASIAN"),
    "Other": ("OTHER", "AMERICAN INDIAN/ALASKA NATIVE", "MULTIPLE RACE/ETHNICITY"),
    "Unknown": ("UNKNOWN", "PATIENT DECLINED TO ANSWER", "UNABLE TO OBTAIN"),
}
#: Laboratory value: mean, standard deviation, direction in which it moves with severity.
LABS = {
    "albumin": (3.9, 0.5, -1), "alkaline_phosphatase": (90, 30, 1), "alanine_aminotransferase_alt": (28, 10, 1),
    "anion_gap": (14, 2.5, 1), "asparate_aminotransferase_ast": (30, 10, 1), "base_excess": (0, 3, -1),
    "basophils": (0.5, 0.2, -1), "bicarbonate": (25, 3, -1), "bilirubin_total": (0.7, 0.25, 1),
    "bilirubin_direct": (0.3, 0.1, 1), "calcium_total": (9.2, 0.5, -1), "calculated_total_co2": (26, 3, -1),
    "chloride": (102, 4, -1), "creatine_kinase_ck": (120, 45, 1), "creatine_kinase_mb_isoenzyme": (3, 1, 1),
    "creatinine": (1.0, 0.3, 1), "c_reactive_protein": (20, 9, 1), "d_dimer": (700, 300, 1),
    "eosinophils": (1.8, 0.8, -1), "ferritin": (150, 60, 1), "fibrinogen_functional": (350, 80, 1),
    "free_calcium": (1.15, 0.06, -1), "glucose": (120, 30, 1), "hematocrit": (39, 5, -1),
    "hemoglobin": (13, 1.8, -1), "inrpt": (1.2, 0.25, 1), "lactate": (1.7, 0.6, 1),
    "lactate_dehydrogenase_ld": (220, 60, 1), "lipase": (35, 12, 1), "lymphocytes": (22, 8, -1),
    "magnesium": (2.0, 0.2, -1), "mch": (30, 2, -1), "mcv": (90, 6, 1), "monocytes": (7, 2, 1),
    "neutrophils": (68, 10, 1), "ntprobnp": (900, 400, 1), "ph": (7.38, 0.05, -1), "phosphate": (3.4, 0.6, 1),
    "platelet_count": (240, 70, -1), "potassium": (4.2, 0.4, 1), "pt": (13, 2.5, 1), "sodium": (139, 3.5, -1),
    "troponin_t": (0.03, 0.012, 1), "urea_nitrogen": (18, 7, 1), "white_blood_cells": (8.5, 2.5, 1),
}  # fmt: skip
