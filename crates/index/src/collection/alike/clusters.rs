//! Groups of documents that are alike.

use super::communities::communities;
use super::items::Items;
use super::{AlikeMode, AlikeOptions, AlikeScope, Compared, Reader};
use crate::filter::Filter;
use crate::vectors::{Pair, PairSink, cosine};
use crate::{Cancel, Error, Progress, Workers};

/// What makes a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ClusterForm {
    /// Everything that is joined by pairs, directly or through others. The ends of a long chain may have
    /// little in common.
    #[default]
    Components,
    /// A document and those that are alike to it. The largest group is taken first, and nothing is in two.
    Communities,
}

/// Which documents are grouped, and how.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// From which score on two documents are alike, -1 to 1.
    pub min_score: f32,
    /// What makes a group.
    pub form: ClusterForm,
    /// Documents of the smallest group, at least 2.
    pub min_size: usize,
    /// Leave out documents that do not pass.
    pub filter: Option<Filter>,
    /// Threads that compare.
    pub workers: Workers,
}

/// The groups that were found.
#[derive(Debug, Clone, PartialEq)]
pub struct Clusters {
    /// The largest first; equal sizes in the order in which their first documents were stored.
    pub clusters: Vec<Cluster>,
    /// Documents that were compared.
    pub documents: u64,
}

/// A group of documents that are alike.
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    /// Its documents: the medoid first, which has the largest sum of cosines with all others, then the
    /// others, the nearest to it first.
    pub members: Vec<ClusterMember>,
}

/// A document of a group. [`Reader::read_member`] reads its id.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClusterMember {
    /// Its cosine with the medoid; 1 for itself.
    pub score: f32,
    document: u32,
}

impl Reader {
    /// Groups the documents that are alike.
    ///
    /// # Errors
    /// [`Error::FilterTooBroad`], [`Error::TooManyNeighbours`], [`Error::Cancelled`], threads that cannot be
    /// started, or a store that fails.
    pub fn clusters(
        &self,
        options: &ClusterOptions,
        cancel: &Cancel,
        progress: &Progress,
    ) -> Result<Clusters, Error> {
        let state = self.published.load().state.clone();
        let alike = options.alike();
        let documents = self.sets(&state, &alike.filter, &None)?.left;
        let items = self.items(&state.vectors.living(), &documents, alike.scope, cancel)?;
        let clusters = || options.clusters(&items, cancel, progress);
        Ok(Clusters {
            clusters: options.workers.compute(clusters)??,
            documents: documents.len(),
        })
    }

    /// Reads the id of a member. `None` when the document has been replaced or deleted since.
    ///
    /// # Errors
    /// When the store fails.
    pub fn read_member(&self, member: &ClusterMember) -> Result<Option<String>, Error> {
        self.document_id(member.document)
    }
}

impl ClusterOptions {
    fn clusters(
        &self,
        items: &Items<'_>,
        cancel: &Cancel,
        progress: &Progress,
    ) -> Result<Vec<Cluster>, Error> {
        let alike = self.alike();
        let compared = Compared {
            left: items,
            right: None,
        };
        let mut groups = match self.form {
            ClusterForm::Components => {
                let mut components = Components::new(items.len());
                compared.all_pairs(&alike, cancel, progress, &mut components)?;
                components.into_groups()
            }
            ClusterForm::Communities => {
                communities(&compared, &alike, self.min_size, cancel, progress)?
            }
        };
        groups.retain(|group| group.len() >= self.min_size.max(2));
        let mut clusters: Vec<Cluster> = groups.iter().map(|group| cluster(items, group)).collect();
        // Stable, so that equal sizes keep their order.
        clusters.sort_by_key(|cluster| std::cmp::Reverse(cluster.members.len()));
        Ok(clusters)
    }

    /// The comparison behind it.
    pub fn alike(&self) -> AlikeOptions {
        AlikeOptions {
            min_score: self.min_score,
            scope: AlikeScope::Documents,
            mode: AlikeMode::Exact,
            filter: self.filter.clone(),
            between: None,
            top_k_per_document: None,
            limit: usize::MAX,
            workers: self.workers,
        }
    }
}

/// What is joined by pairs: a forest in which every item points towards the first of its group.
struct Components {
    parents: Vec<u32>,
}

impl Components {
    fn new(items: usize) -> Self {
        Self {
            parents: (0..items as u32).collect(),
        }
    }

    fn root(&mut self, mut item: u32) -> u32 {
        loop {
            let parent = self.parents[item as usize];
            if parent == item {
                return item;
            }
            // Halving the path keeps it short.
            let above = self.parents[parent as usize];
            self.parents[item as usize] = above;
            item = above;
        }
    }

    /// All groups of two or more, each in order, by their first items.
    fn into_groups(mut self) -> Vec<Vec<usize>> {
        let mut groups = vec![Vec::new(); self.parents.len()];
        for item in 0..self.parents.len() {
            let root = self.root(item as u32) as usize;
            groups[root].push(item);
        }
        groups.retain(|group| group.len() > 1);
        groups
    }
}

impl PairSink for Components {
    fn take(&mut self, pairs: &[Pair], _uncounted: u64) {
        for pair in pairs {
            let (one, other) = (self.root(pair.left as u32), self.root(pair.right as u32));
            // The first of both, so that a group's root is its first item.
            self.parents[one.max(other) as usize] = one.min(other);
        }
    }
}

/// A group with its medoid. The sum of a vector's cosines with all of a group is its product with the sum
/// of their vectors, so it takes time linear in the size of the group.
fn cluster(items: &Items<'_>, group: &[usize]) -> Cluster {
    let mut sum = vec![0.0_f64; items.vector(group[0]).len()];
    for item in group {
        let pairs = sum.iter_mut().zip(items.vector(*item));
        pairs.for_each(|(sum, value)| *sum += f64::from(*value));
    }
    let product = |item: usize| -> f64 {
        let pairs = sum.iter().zip(items.vector(item));
        pairs.map(|(sum, value)| sum * f64::from(*value)).sum()
    };
    let mut medoid = (group[0], product(group[0]));
    for item in &group[1..] {
        let product = product(*item);
        if product > medoid.1 {
            medoid = (*item, product);
        }
    }
    let medoid = medoid.0;
    let member = |item: usize| ClusterMember {
        score: cosine(items.vector(medoid), items.vector(item)),
        document: items.side(item).document,
    };
    let others = group.iter().filter(|item| **item != medoid);
    let mut others: Vec<ClusterMember> = others.map(|item| member(*item)).collect();
    others.sort_by(|one, other| other.score.total_cmp(&one.score));
    let mut members = vec![member(medoid)];
    members.extend(others);
    Cluster { members }
}
