//! The items of a comparison, each checked once.

use super::Form;
use crate::config::Limits;
use crate::error::ApiError;
use crate::routes::item::Item;
use crate::service::Operand;

/// Gathers the items of a request and checks each once.
pub(super) struct Operands<'a> {
    pub(super) list: Vec<Operand>,
    limits: &'a Limits,
}

impl<'a> Operands<'a> {
    pub(super) fn new(limits: &'a Limits) -> Self {
        Self {
            list: Vec::new(),
            limits,
        }
    }

    /// Adds an item and returns its place.
    pub(super) fn push(&mut self, item: Item, pointer: &str) -> Result<usize, ApiError> {
        let max = self.limits.max_similarity_items;
        if self.list.len() >= max {
            let detail = format!("there are over limits.max_similarity_items = {max} items");
            return Err(ApiError::invalid(pointer, detail));
        }
        let operand = item.checked(self.limits, pointer)?;
        self.list.push(operand);
        Ok(self.list.len() - 1)
    }

    fn list(&mut self, items: Vec<Item>, pointer: &str) -> Result<Vec<usize>, ApiError> {
        if items.is_empty() {
            return Err(ApiError::invalid(pointer, "the list is empty"));
        }
        let items = items.into_iter().enumerate();
        items
            .map(|(place, item)| self.push(item, &format!("{pointer}/{place}")))
            .collect()
    }

    pub(super) fn pairs(&mut self, pairs: Vec<Vec<Item>>) -> Result<Vec<(usize, usize)>, ApiError> {
        if pairs.is_empty() {
            return Err(ApiError::invalid("/pairs", "the list is empty"));
        }
        let pairs = pairs.into_iter().enumerate();
        pairs
            .map(|(place, pair)| {
                let [left, right] = <[Item; 2]>::try_from(pair).map_err(|pair| {
                    let detail = format!("a pair has 2 items, this one has {}", pair.len());
                    ApiError::invalid(format!("/pairs/{place}"), detail)
                })?;
                let left = self.push(left, &format!("/pairs/{place}/0"))?;
                Ok((left, self.push(right, &format!("/pairs/{place}/1"))?))
            })
            .collect()
    }

    pub(super) fn one_to_many(
        &mut self,
        source: usize,
        targets: Vec<Item>,
        pointer: &str,
    ) -> Result<Vec<(usize, usize)>, ApiError> {
        let targets = self.list(targets, pointer)?;
        Ok(targets.into_iter().map(|target| (source, target)).collect())
    }

    pub(super) fn matrix(
        &mut self,
        left: Vec<Item>,
        right: Option<Vec<Item>>,
    ) -> Result<(Vec<(usize, usize)>, Form), ApiError> {
        let rows = self.list(left, "/left")?;
        let columns = match right {
            Some(right) => self.list(right, "/right")?,
            None => rows.clone(),
        };
        Ok((Vec::new(), Form::Matrix { rows, columns }))
    }
}
