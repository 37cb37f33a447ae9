//! A retrieval data set in BEIR's layout: `corpus.jsonl`, `queries.jsonl`, `qrels/<split>.tsv`.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Taken when there are several splits and none was named.
const DEFAULT_SPLIT: &str = "test";

/// Relevance by query and document.
pub(crate) type Judgements = BTreeMap<String, HashMap<String, i64>>;

/// A folder with a data set.
#[derive(Debug)]
pub(crate) struct DataSet {
    folder: PathBuf,
    /// The split that is evaluated.
    pub(crate) split: String,
    /// Relevance of documents to the split's queries.
    pub(crate) judgements: Judgements,
}

/// A query.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Query {
    /// Its id in the judgements.
    #[serde(rename = "_id")]
    pub(crate) id: String,
    /// What is asked.
    pub(crate) text: String,
}

#[derive(Debug, Deserialize)]
struct CorpusLine {
    #[serde(rename = "_id")]
    id: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    text: String,
}

impl DataSet {
    /// Reads the judgements of `split`, or of the only one there is.
    ///
    /// # Errors
    /// A folder without them, or a line that is none.
    pub(crate) fn open(folder: &Path, split: Option<&str>) -> Result<Self> {
        let split = match split {
            Some(split) => split.to_owned(),
            None => only_split(&folder.join("qrels"))?,
        };
        let judgements = judgements(&folder.join("qrels").join(format!("{split}.tsv")))?;
        Ok(Self {
            folder: folder.to_owned(),
            split,
            judgements,
        })
    }

    /// The folder's name.
    pub(crate) fn name(&self) -> String {
        let folder = fs_err::canonicalize(&self.folder).unwrap_or_else(|_| self.folder.clone());
        let name = folder.file_name().map(|name| name.to_string_lossy());
        name.map_or_else(|| "data".to_owned(), |name| name.into_owned())
    }

    /// The queries that have judgements, in the order of the file.
    ///
    /// # Errors
    /// When the file is missing or a line is no query.
    pub(crate) fn queries(&self) -> Result<Vec<Query>> {
        let mut queries = Vec::new();
        for line in json_lines(&self.folder.join("queries.jsonl"))? {
            let query: Query = line?;
            if self.judgements.contains_key(&query.id) {
                queries.push(query);
            }
        }
        if queries.is_empty() {
            bail!(
                "no query of {}/queries.jsonl has judgements",
                self.folder.display()
            );
        }
        Ok(queries)
    }

    /// The documents as the service takes them. One without any text is passed over; one with a
    /// title alone has it as its text.
    ///
    /// # Errors
    /// When the file is missing.
    pub(crate) fn documents(&self) -> Result<impl Iterator<Item = Result<Value>> + use<>> {
        let lines = json_lines::<CorpusLine>(&self.folder.join("corpus.jsonl"))?;
        Ok(lines.filter_map(|line| line.map(document).transpose()))
    }

    /// Bytes of the corpus, for a progress bar.
    ///
    /// # Errors
    /// When it is missing.
    pub(crate) fn count_documents(&self) -> Result<u64> {
        let file = fs_err::File::open(self.folder.join("corpus.jsonl"))?;
        Ok(BufReader::new(file).lines().count() as u64)
    }
}

fn document(line: CorpusLine) -> Option<Value> {
    let mut document = Map::new();
    document.insert("id".to_owned(), line.id.into());
    let (title, text) = (line.title.trim(), line.text.trim());
    if !title.is_empty() && !text.is_empty() {
        document.insert("title".to_owned(), json!(line.title));
    }
    let text = if text.is_empty() { title } else { &line.text };
    document.insert("text".to_owned(), json!(text));
    (!text.is_empty()).then_some(Value::Object(document))
}

fn only_split(folder: &Path) -> Result<String> {
    let mut splits = Vec::new();
    for entry in fs_err::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        splits.extend(name.strip_suffix(".tsv").map(str::to_owned));
    }
    splits.sort();
    match splits.as_slice() {
        [] => bail!("{} holds no .tsv file", folder.display()),
        [only] => Ok(only.clone()),
        several if several.iter().any(|split| split == DEFAULT_SPLIT) => {
            Ok(DEFAULT_SPLIT.to_owned())
        }
        several => bail!("choose one with --split: {}", several.join(", ")),
    }
}

fn json_lines<T: serde::de::DeserializeOwned>(
    path: &Path,
) -> Result<impl Iterator<Item = Result<T>> + use<T>> {
    let file = fs_err::File::open(path)?;
    let path = path.to_owned();
    let lines = BufReader::new(file).lines().zip(1_u64..);
    let filled = lines.filter(|(line, _)| !line.as_ref().is_ok_and(|line| line.trim().is_empty()));
    Ok(filled.map(move |(line, number)| {
        serde_json::from_str(&line?).with_context(|| format!("{}:{number}", path.display()))
    }))
}

/// Lines of query, document and relevance between tabs, after a header.
fn judgements(path: &Path) -> Result<Judgements> {
    let mut judgements = Judgements::new();
    let text = fs_err::read_to_string(path)?;
    for (line, number) in text.lines().zip(1_u64..).skip(1) {
        if line.trim().is_empty() {
            continue;
        }
        let mut columns = line.split('\t');
        let columns = (columns.next(), columns.next(), columns.next());
        let (Some(query), Some(document), Some(relevance)) = columns else {
            bail!("{}:{number}: expected three columns", path.display());
        };
        let relevance = relevance.trim().parse::<f64>();
        let relevance =
            relevance.with_context(|| format!("{}:{number}: the relevance", path.display()))?;
        judgements
            .entry(query.to_owned())
            .or_default()
            .insert(document.to_owned(), relevance as i64);
    }
    if judgements.is_empty() {
        bail!("{} holds no judgements", path.display());
    }
    Ok(judgements)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(corpus: &str, qrels: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(folder.path().join("qrels")).unwrap();
        fs_err::write(folder.path().join("corpus.jsonl"), corpus).unwrap();
        let queries = "{\"_id\":\"1\",\"text\":\"one\"}\n{\"_id\":\"2\",\"text\":\"two\"}\n";
        fs_err::write(folder.path().join("queries.jsonl"), queries).unwrap();
        for (split, lines) in qrels {
            let path = folder.path().join("qrels").join(format!("{split}.tsv"));
            fs_err::write(path, format!("query-id\tcorpus-id\tscore\n{lines}")).unwrap();
        }
        folder
    }

    #[test]
    fn only_queries_with_judgements_are_asked() {
        let folder = folder("", &[("train", "2\ta\t1\n2\tb\t0\n")]);
        let data = DataSet::open(folder.path(), None).unwrap();
        assert_eq!(data.split, "train");
        assert_eq!(data.judgements["2"]["a"], 1);
        let ids: Vec<_> = data.queries().unwrap().into_iter().map(|q| q.id).collect();
        assert_eq!(ids, ["2"]);
    }

    #[test]
    fn of_several_splits_the_test_split_is_taken_unless_one_is_named() {
        let folder = folder("", &[("dev", "1\ta\t1\n"), ("test", "2\ta\t1\n")]);
        assert_eq!(DataSet::open(folder.path(), None).unwrap().split, "test");
        let dev = DataSet::open(folder.path(), Some("dev")).unwrap();
        assert!(dev.judgements.contains_key("1"));
        assert!(DataSet::open(folder.path(), Some("train")).is_err());
    }

    #[test]
    fn documents_need_a_text_and_their_other_fields_stay_behind() {
        let corpus = concat!(
            "{\"_id\":\"a\",\"title\":\"T\",\"text\":\"x\",\"metadata\":{\"u\":1}}\n",
            "{\"_id\":\"b\",\"title\":\"only\",\"text\":\" \"}\n",
            "{\"_id\":\"c\",\"title\":\"\",\"text\":\"\"}\n\n"
        );
        let folder = folder(corpus, &[("test", "1\ta\t1\n")]);
        let data = DataSet::open(folder.path(), None).unwrap();
        let documents: Result<Vec<_>> = data.documents().unwrap().collect();
        assert_eq!(
            documents.unwrap(),
            [
                json!({"id": "a", "title": "T", "text": "x"}),
                json!({"id": "b", "text": "only"})
            ]
        );
    }

    #[test]
    fn a_bad_line_is_named_by_file_and_number() {
        let folder = folder("{}\n", &[("test", "1\ta\tyes\n")]);
        let error = DataSet::open(folder.path(), None).unwrap_err();
        assert!(format!("{error:#}").contains("test.tsv:2"), "{error:#}");
    }
}
