//! Which columns of a table, or keys of an object, are what of a document.

use super::ReadOptions;

/// Names of the text where none is said, the first one found.
const TEXT: [&str; 4] = ["text", "body", "content", "question"];
const IDS: [&str; 2] = ["id", "_id"];
const TITLES: [&str; 1] = ["title"];

/// The names to look for, best first.
#[derive(Debug, Clone)]
pub(super) struct FieldNames {
    text: Vec<String>,
    id: Vec<String>,
    title: Vec<String>,
}

/// Places of the fields in a list of names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) text: Option<usize>,
    pub(super) id: Option<usize>,
    pub(super) title: Option<usize>,
}

impl FieldNames {
    pub(super) fn new(options: &ReadOptions) -> Self {
        let names = |said: &[String], usual: &[&str]| {
            let usual = usual.iter().map(|name| (*name).to_owned());
            said.iter().cloned().chain(usual).collect()
        };
        Self {
            text: names(&options.text_field, &TEXT),
            id: names(&options.id_field, &IDS),
            title: names(&options.title_field, &TITLES),
        }
    }

    /// Finds the fields among `names`. Nothing is two fields at once.
    pub(super) fn find(&self, names: &[&str]) -> Fields {
        let text = place(&self.text, names, &[]);
        let id = place(&self.id, names, &[text]);
        let title = place(&self.title, names, &[text, id]);
        Fields { text, id, title }
    }

    /// The names that a text may have, for people.
    pub(super) fn texts(&self) -> String {
        match self.text.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, first)) => format!("{} or {last}", first.join(", ")),
            None => String::new(),
        }
    }
}

fn place(wanted: &[String], names: &[&str], taken: &[Option<usize>]) -> Option<usize> {
    let find = |is_it: &dyn Fn(&str) -> bool| {
        let free = |place: &usize| !taken.contains(&Some(*place));
        let mut places = names.iter().enumerate();
        places.find_map(|(place, name)| (is_it(name) && free(&place)).then_some(place))
    };
    wanted.iter().find_map(|wanted| {
        find(&|name| name == wanted)
            .or_else(|| find(&|name| name.trim().eq_ignore_ascii_case(wanted)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_comes_before_the_usual_names() {
        let options = ReadOptions {
            text_field: vec!["abstract".to_owned(), "summary".to_owned()],
            ..ReadOptions::default()
        };
        let names = FieldNames::new(&options);
        let fields = names.find(&["text", "Summary", "ID"]);
        assert_eq!(
            fields,
            Fields {
                text: Some(1),
                id: Some(2),
                title: None
            }
        );
        assert_eq!(names.find(&["body", "x"]).text, Some(0));
    }

    #[test]
    fn one_field_is_not_two_things() {
        let options = ReadOptions {
            text_field: vec!["title".to_owned()],
            ..ReadOptions::default()
        };
        let fields = FieldNames::new(&options).find(&["title"]);
        assert_eq!(
            fields,
            Fields {
                text: Some(0),
                id: None,
                title: None
            }
        );
    }
}
