//! What only a data folder can do.

use siamese_index::Error;

/// Something that the embedded backend can do and another one cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Capability {
    FilterStrings,
    FilterPrecision,
    FacetsOfFew,
    Cursors,
    OnDuplicate,
    Duplicates,
    Clusters,
    Map,
    Comparison,
    Feedback,
    TrainingPairs,
    Training,
    Jobs,
    Snapshots,
    Compaction,
    Sizes,
}

impl Capability {
    /// All of them, in the order of the API.
    pub(crate) const ALL: &'static [Self] = &[
        Self::FilterStrings,
        Self::FilterPrecision,
        Self::FacetsOfFew,
        Self::Cursors,
        Self::OnDuplicate,
        Self::Duplicates,
        Self::Clusters,
        Self::Map,
        Self::Comparison,
        Self::Feedback,
        Self::TrainingPairs,
        Self::Training,
        Self::Jobs,
        Self::Snapshots,
        Self::Compaction,
        Self::Sizes,
    ];

    /// Its name, for programs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::FilterStrings => "filter_strings",
            Self::FilterPrecision => "filter_precision",
            Self::FacetsOfFew => "facets_of_few",
            Self::Cursors => "cursors",
            Self::OnDuplicate => "on_duplicate",
            Self::Duplicates => "duplicates",
            Self::Clusters => "clusters",
            Self::Map => "map",
            Self::Comparison => "comparison",
            Self::Feedback => "feedback",
            Self::TrainingPairs => "training_pairs",
            Self::Training => "training",
            Self::Jobs => "jobs",
            Self::Snapshots => "snapshots",
            Self::Compaction => "compaction",
            Self::Sizes => "sizes",
        }
    }

    /// What does not work without it, in a sentence for people.
    pub(crate) fn explanation(self) -> &'static str {
        match self {
            Self::FilterStrings => {
                "filters do not find parts of strings: $prefix, $contains with a string, and $gt, $gte, $lt and $lte with a string that is no date"
            }
            Self::FilterPrecision => {
                "filters do not compare by order with numbers of 2^53 and more, nor with fractions of a second"
            }
            Self::FacetsOfFew => {
                "values are not counted (facets) with min_score or in mode lexical where more documents match than are returned, nor strings of more than 512 bytes, nor more than 128 fields of a collection"
            }
            Self::Cursors => {
                "lists of hits do not go on by cursor; a larger top_k or an offset reaches further hits"
            }
            Self::OnDuplicate => {
                "documents are stored whether they resemble others or not (on_duplicate)"
            }
            Self::Duplicates => {
                "pairs of documents that are alike are not looked for (/duplicates)"
            }
            Self::Clusters => {
                "documents that are alike are not grouped (/clusters), nor deleted by groups"
            }
            Self::Map => "documents are not put on a map (/map)",
            Self::Comparison => {
                "generations are not compared (/collections/{collection}/generations/{generation}/compare)"
            }
            Self::Feedback => {
                "which documents were useful for which queries is not kept (/feedback)"
            }
            Self::TrainingPairs => {
                "pairs of texts that belong together are not gathered (/training/pairs)"
            }
            Self::Training => "models are not trained here (/models/{id}/train)",
            Self::Jobs => {
                "nothing goes on without a request (/jobs), so Prefer: respond-async does not help"
            }
            Self::Snapshots => {
                "snapshots are not taken (/snapshots); the backend has a backup of its own"
            }
            Self::Compaction => "there is no store to be compacted (POST /jobs)",
            Self::Sizes => {
                "how much disk and memory the documents take is not known here (/stats, /metrics)"
            }
        }
    }

    /// What is answered where it is missing.
    pub(crate) fn not_supported(self) -> Error {
        Error::NotSupportedHere {
            what: self.explanation(),
        }
    }
}

/// Something that another backend does in another way than a data folder.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Difference {
    /// Its name, for programs.
    pub(crate) name: &'static str,
    /// How it is there, in a sentence for people.
    pub(crate) explanation: &'static str,
}

/// What a Qdrant cluster does in another way.
pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        name: "requests",
        explanation: "the documents of one request become visible one after another, each as a whole; of a request that fails, some may be stored",
    },
    Difference {
        name: "word_scores",
        explanation: "BM25 scores take a passage of 100 words for one of average length, and each shard knows for itself how rare a word is",
    },
    Difference {
        name: "totals",
        explanation: "with min_score and in mode lexical, the total is the number of hits that are returned, a lower bound where there may be more",
    },
    Difference {
        name: "list_order",
        explanation: "GET /documents and exports have an order of their own, which stays the same, and not that of ids",
    },
    Difference {
        name: "generations",
        explanation: "one of the services fills a generation, without a job, and another goes on when it is killed; a service that is killed while it writes may leave a document that only one generation has in its new version, which is mended within the hour",
    },
    Difference {
        name: "collections",
        explanation: "a collection, generation or alias that another process has made, changed or deleted is known as such within a second",
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_capability_has_its_own_name_and_a_plain_sentence() {
        let names: BTreeSet<_> = Capability::ALL.iter().map(|what| what.name()).collect();
        assert_eq!(names.len(), Capability::ALL.len());
        for what in Capability::ALL {
            let sentence = what.explanation();
            assert!(!sentence.is_empty() && !sentence.ends_with('.'), "{what:?}");
        }
    }
}
