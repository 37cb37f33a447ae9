//! The module `Router`, before 5.0 `Asym`: queries and documents go through modules of their own.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::modules::{Module, read_first};
use crate::Error;

/// What the module is called.
pub(super) const CLASSES: [&str; 2] = ["Router", "Asym"];
/// Its settings file, and the one of older versions.
const SETTINGS_FILES: [&str; 2] = ["router_config.json", "config.json"];

/// The modules of both routes.
#[derive(Debug)]
pub(super) struct Router {
    pub(super) query: Vec<Module>,
    pub(super) document: Vec<Module>,
}

#[derive(Debug, Deserialize)]
struct RawRouter {
    /// The class of each module, by the name of its folder.
    types: BTreeMap<String, String>,
    /// The modules of each route.
    structure: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    parameters: RawParameters,
}

#[derive(Debug, Default, Deserialize)]
struct RawParameters {
    /// Routes by what Python prints of a pair of task and modality.
    route_mappings: Option<BTreeMap<String, String>>,
}

impl Router {
    /// Reads the routes of a module's folder.
    ///
    /// # Errors
    /// When the settings are missing or damaged, or there is no route for queries or documents.
    pub(super) fn read(folder: &Path) -> Result<Self, Error> {
        let raw: RawRouter = read_first(folder, SETTINGS_FILES)?;
        Ok(Self {
            query: raw.modules(folder, "query")?,
            document: raw.modules(folder, "document")?,
        })
    }
}

impl RawRouter {
    /// The route of a text of a task, in the order in which sentence-transformers looks for it.
    fn route(&self, task: &str) -> Option<&Vec<String>> {
        let mapped = [
            format!("('{task}', 'text')"),
            format!("('{task}', None)"),
            "(None, 'text')".to_owned(),
            "(None, None)".to_owned(),
        ];
        let mappings = self.parameters.route_mappings.as_ref();
        match mapped.iter().find_map(|key| mappings?.get(key)) {
            Some(name) => self.structure.get(name),
            None => self
                .structure
                .get(task)
                .or_else(|| self.structure.get("text")),
        }
    }

    fn modules(&self, folder: &Path, task: &str) -> Result<Vec<Module>, Error> {
        let damaged = |reason: String| Error::damaged(folder.join(SETTINGS_FILES[0]), reason);
        let modules = self.route(task).ok_or_else(|| {
            let routes: Vec<_> = self.structure.keys().map(String::as_str).collect();
            damaged(format!(
                "it has no route for a {task}, only: {}",
                routes.join(", ")
            ))
        })?;
        let module = |name: &String| match self.types.get(name) {
            Some(module_type) => Ok(Module {
                folder: folder.join(name),
                module_type: module_type.clone(),
            }),
            None => Err(damaged(format!("it does not say the type of {name}"))),
        };
        modules.iter().map(module).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(json: &str, task: &str) -> Result<String, String> {
        let router: RawRouter = serde_json::from_str(json).unwrap();
        let modules = router.modules(Path::new("model"), task);
        let names = modules.map_err(|error| error.to_string())?;
        let names = names
            .iter()
            .map(|it| it.folder.file_name().unwrap().to_str().unwrap());
        Ok(names.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn routes_are_found_by_their_names_or_by_mappings() {
        let named =
            r#"{"types":{"a":"x.A","b":"x.B"},"structure":{"query":["a"],"document":["b","a"]}}"#;
        assert_eq!(route(named, "query").unwrap(), "a");
        assert_eq!(route(named, "document").unwrap(), "b a");
        let mapped = r#"{"types":{"a":"x.A","b":"x.B"},"structure":{"one":["a"],"text":["b"]},
            "parameters":{"route_mappings":{"('query', None)":"one","(None, 'image')":"one"}}}"#;
        assert_eq!(route(mapped, "query").unwrap(), "a");
        assert_eq!(route(mapped, "document").unwrap(), "b");
    }

    #[test]
    fn a_route_that_is_not_there_is_named_with_those_that_are() {
        let router = r#"{"types":{"a":"x.A"},"structure":{"QRY":["a"],"DOC":["a"],"query":["c"]}}"#;
        let error = route(router, "document").unwrap_err();
        assert!(
            error.contains("no route for a document, only: DOC, QRY, query"),
            "{error}"
        );
        let error = route(router, "query").unwrap_err();
        assert!(error.contains("the type of c"), "{error}");
    }
}
