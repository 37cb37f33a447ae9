//! The queries that generations are compared by.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use crate::eval::DataSet;

/// Where queries come from.
#[derive(Debug, clap::Args)]
pub(super) struct Judged {
    /// File with a query on each line, or with JSON objects that have `query` or `text`
    #[arg(long, value_name = "FILE", conflicts_with = "judgements")]
    queries: Option<PathBuf>,
    /// Folder in BEIR's layout (queries.jsonl, qrels/SPLIT.tsv), or file with {"query", "relevant": {id: grade}} on each
    /// line: tells how good the answers are
    #[arg(long, value_name = "DIR")]
    judgements: Option<PathBuf>,
    /// Judgements of the folder to use; the only ones there are, or `test`, when absent
    #[arg(long, requires = "judgements")]
    split: Option<String>,
}

impl Judged {
    /// The queries as the service takes them; nothing when none are named.
    ///
    /// # Errors
    /// A file that is missing, or a line that is no query.
    pub(super) fn read(&self) -> Result<Option<Map<String, Value>>> {
        let (field, list) = match (&self.queries, &self.judgements) {
            (Some(file), _) => ("queries", lines(file, query)?),
            (None, Some(path)) if path.is_dir() => ("judgements", self.data_set(path)?),
            (None, Some(file)) => ("judgements", lines(file, judgement)?),
            (None, None) => return Ok(None),
        };
        Ok(Some(Map::from_iter([(field.to_owned(), list.into())])))
    }

    fn data_set(&self, folder: &Path) -> Result<Vec<Value>> {
        let data = DataSet::open(folder, self.split.as_deref())?;
        let queries = data.queries()?.into_iter();
        let judged = queries.map(|query| {
            let grades = data.judgements.get(&query.id).into_iter().flatten();
            // Below 0 is not relevant either.
            let relevant: Map<String, Value> = grades
                .map(|(id, grade)| (id.clone(), json!(grade.max(&0))))
                .collect();
            json!({"id": query.id, "query": query.text, "relevant": relevant})
        });
        Ok(judged.collect())
    }
}

fn lines(path: &Path, read: fn(&str) -> Result<Value>) -> Result<Vec<Value>> {
    let file = BufReader::new(fs_err::File::open(path)?);
    let mut queries = Vec::new();
    for (line, number) in file.lines().zip(1_u64..) {
        let line = line?;
        let line = line.trim_start_matches('\u{feff}').trim();
        if !line.is_empty() {
            let query = read(line).with_context(|| format!("{}:{number}", path.display()))?;
            queries.push(query);
        }
    }
    if queries.is_empty() {
        bail!("{} holds no query", path.display());
    }
    Ok(queries)
}

/// A line as it is, or the text of a JSON object.
fn query(line: &str) -> Result<Value> {
    if !line.starts_with('{') {
        return Ok(line.into());
    }
    let object: Value = serde_json::from_str(line)?;
    let text = ["query", "text"]
        .into_iter()
        .find_map(|name| object[name].as_str());
    Ok(text
        .context("the object has neither query nor text")?
        .into())
}

fn judgement(line: &str) -> Result<Value> {
    let judgement: Value = serde_json::from_str(line)?;
    if !judgement["query"].is_string() || !judgement["relevant"].is_object() {
        bail!("expected an object with query and relevant");
    }
    Ok(judgement)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(queries: Option<PathBuf>, judgements: Option<PathBuf>) -> Judged {
        Judged {
            queries,
            judgements,
            split: None,
        }
    }

    #[test]
    fn queries_are_lines_or_objects_with_a_text() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("queries.txt");
        fs_err::write(
            &file,
            "lost password\n\n{\"_id\": \"1\", \"text\": \"a lamp\"}\n",
        )
        .unwrap();
        let read = judged(Some(file.clone()), None).read().unwrap().unwrap();
        assert_eq!(
            Value::from(read),
            json!({"queries": ["lost password", "a lamp"]})
        );
        fs_err::write(&file, "a\n{\"q\": 1}\n").unwrap();
        let error = judged(Some(file.clone()), None).read().unwrap_err();
        assert!(format!("{error:#}").contains("queries.txt:2"), "{error:#}");
        fs_err::write(&file, "\n").unwrap();
        assert!(judged(Some(file), None).read().is_err());
        assert!(judged(None, None).read().unwrap().is_none());
    }

    #[test]
    fn judgements_come_from_a_data_set_or_from_lines() {
        let folder = tempfile::tempdir().unwrap();
        fs_err::create_dir(folder.path().join("qrels")).unwrap();
        let file = folder.path().join("queries.jsonl");
        fs_err::write(&file, "{\"_id\":\"1\",\"text\":\"one\"}\n").unwrap();
        let qrels = folder.path().join("qrels/train.tsv");
        fs_err::write(qrels, "q\td\ts\n1\ta\t2\n1\tb\t-1\n").unwrap();
        let read = judged(None, Some(folder.path().to_owned())).read();
        let expected =
            json!({"judgements": [{"id": "1", "query": "one", "relevant": {"a": 2, "b": 0}}]});
        assert_eq!(Value::from(read.unwrap().unwrap()), expected);
        let file = folder.path().join("judged.jsonl");
        fs_err::write(&file, "{\"query\": \"one\", \"relevant\": {\"a\": 1}}\n").unwrap();
        let read = judged(None, Some(file.clone())).read().unwrap().unwrap();
        assert_eq!(read["judgements"][0]["relevant"]["a"], 1);
        fs_err::write(&file, "{\"query\": \"one\"}\n").unwrap();
        assert!(judged(None, Some(file)).read().is_err());
    }
}
