/// The codes of the HL7 v3 value set PurposeOfUse (code system v3-ActReason), in which a consent and a request say what for.
package enum PurposeOfUse {
    package static let system = "http://terminology.hl7.org/CodeSystem/v3-ActReason"

    /// http://terminology.hl7.org/ValueSet/v3-PurposeOfUse, abstract codes left out.
    package static let codes: Set<String> = [
        "BIORCH", "BTG", "CAREMGT", "CLINTRCH", "CLINTRCHNPC", "CLINTRCHPC", "CLINTRL", "CLMATTCH", "COC", "COVAUTH",
        "COVERAGE", "DISASTER", "DONAT", "DSRCH", "ELIGDTRM", "ELIGVER", "ENROLLM", "ERTREAT", "ETREAT", "FAMRQT",
        "FRAUD", "GOV", "HACCRED", "HCOMPL", "HDECD", "HDIRECT", "HDM", "HLEGAL", "HMARKT", "HOPERAT", "HOUTCOMS",
        "HPAYMT", "HPRGRP", "HQUALIMP", "HRESCH", "HSYSADMIN", "HTEST", "LABELING", "MEMADMIN", "METAMGT", "MILCDM",
        "MILDCRG", "PATADMIN", "PATRQT", "PATSFTY", "PERFMSR", "POARCH", "POPHLTH", "PRECLINTRCH", "PUBHLTH",
        "PWATRNY", "RECORDMGT", "REMITADV", "SUPNWK", "SYSDEV", "THREAT", "TRAIN", "TRANSRCH", "TREAT",
    ]
}
