//! Counting values among the documents that a search matches.

use qdrant_client::qdrant::{FacetCounts, FieldType, Filter as PointFilter, facet_value::Variant};
use siamese_index::{Error, Facet, FacetRequest, FacetValue, FieldPath};

use crate::Reader;
use crate::conditions::{both, is_any_but};
use crate::error::not_supported;
use crate::terms::{self, Term, TermList};

const LONG_VALUES: &str = "counting strings of more than 512 bytes (`facets`)";
const MANY_EQUAL_VALUES: &str =
    "choosing among very many values that are equally frequent (`facets`)";
const MANY_FIELDS: &str = "counting the values of more than 128 fields of a collection (`facets`)";
/// Values asked for beyond those wanted, among which equally frequent ones are chosen.
const SPARE_VALUES: usize = 64;
const MORE_VALUES: usize = 8;
/// Values asked for in one call.
const MAX_VALUES: usize = 65_536;

impl Reader {
    /// For each field the most frequent values among the documents that meet a condition; equally frequent ones in their
    /// order.
    ///
    /// # Errors
    /// [`Error::NotSupportedHere`], or when the cluster fails.
    pub(crate) fn facets(
        &self,
        request: &FacetRequest,
        filter: Option<&PointFilter>,
    ) -> Result<Vec<Facet>, Error> {
        let paths = request.paths.iter();
        paths
            .map(|path| self.facet(path, request.max_values, filter))
            .collect()
    }

    fn facet(
        &self,
        path: &FieldPath,
        max_values: usize,
        filter: Option<&PointFilter>,
    ) -> Result<Facet, Error> {
        let field = TermList::Values.field(&path.to_string());
        if !self.index_field(&field, FieldType::Keyword, true)? {
            return match self.is_anywhere(&field)? {
                true => Err(not_supported(MANY_FIELDS)),
                false => Ok(Facet::default()),
            };
        }
        let (mut values, is_all) = self.most_frequent(&field, max_values, filter)?;
        let has_more = !is_all || values.len() > max_values;
        values.truncate(max_values);
        let other = match has_more {
            true => {
                let known = values
                    .iter()
                    .flat_map(|found| [terms::equal(&found.value), terms::element(&found.value)]);
                let known = known.chain([terms::EXISTS.to_owned()]).collect();
                let others = is_any_but(field, known);
                self.count(&self.documents, both(filter.cloned(), Some(others)))?
            }
            false => 0,
        };
        Ok(Facet { values, other })
    }

    /// At least `wanted` values, if there are so many, in their order; and whether those are all.
    fn most_frequent(
        &self,
        field: &str,
        wanted: usize,
        filter: Option<&PointFilter>,
    ) -> Result<(Vec<FacetValue>, bool), Error> {
        // An element of an array is there twice, and once what says that there is something.
        let mut limit = 2 * wanted + 1 + SPARE_VALUES;
        loop {
            let counts = self.ask_for_counts(field, limit, filter)?;
            let is_all = counts.len() < limit;
            let rarest = counts.last().map_or(0, |(_, count)| *count);
            let mut values = Vec::new();
            for (text, count) in counts {
                match Term::read(&text) {
                    Term::Value(value) => values.push(FacetValue { value, count }),
                    Term::LongText => return Err(not_supported(LONG_VALUES)),
                    Term::Other => {}
                }
            }
            values.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(&b.value)));
            // Those that are as frequent as the last one were cut in another order than ours.
            let is_decided = values
                .get(wanted.saturating_sub(1))
                .is_some_and(|it| it.count > rarest);
            if is_all || is_decided {
                return Ok((values, is_all));
            }
            if limit == MAX_VALUES {
                return Err(not_supported(MANY_EQUAL_VALUES));
            }
            limit = (limit * MORE_VALUES).min(MAX_VALUES);
        }
    }

    fn ask_for_counts(
        &self,
        field: &str,
        limit: usize,
        filter: Option<&PointFilter>,
    ) -> Result<Vec<(String, u64)>, Error> {
        let request = FacetCounts {
            collection_name: self.documents.clone(),
            key: field.to_owned(),
            filter: filter.cloned(),
            limit: Some(limit as u64),
            exact: Some(true),
            ..FacetCounts::default()
        };
        let answer = self.ask(&request, |client, request| async move {
            client.facet(request).await
        })?;
        let hits = answer.hits.into_iter();
        let counts = hits.filter_map(|hit| match hit.value?.variant? {
            Variant::StringValue(text) => Some((text, hit.count)),
            _ => None,
        });
        Ok(counts.collect())
    }
}
