//! Tests of the model as a whole: real files in a temporary directory, findings as snapshots.

mod faults;
mod sources;
mod syntax;

use tempfile::TempDir;

use super::{LoadError, LoadOptions, Loaded, load_with_document};

struct Case {
    directory: TempDir,
    options: LoadOptions,
}

impl Case {
    fn new(files: &[(&str, &str)]) -> Self {
        let directory = TempDir::with_prefix("compose-").unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        }
        let options = LoadOptions {
            working_directory: directory.path().to_owned(),
            project_name: Some("demo".to_owned()),
            ..LoadOptions::default()
        };
        Self { directory, options }
    }

    fn load(&self) -> Result<Loaded, LoadError> {
        load_with_document(&self.options)
    }

    fn loaded(&self) -> Loaded {
        self.load()
            .unwrap_or_else(|error| panic!("{}", self.relative(&error.to_string())))
    }

    fn relative(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.directory.path().display()), "")
            .replace(&self.directory.path().display().to_string(), "<dir>")
    }

    fn faults(&self) -> String {
        self.relative(&self.load().expect_err("must be refused").to_string())
    }

    fn warnings(&self) -> String {
        let lines: Vec<String> = self
            .loaded()
            .warnings
            .iter()
            .map(ToString::to_string)
            .collect();
        self.relative(&lines.join("\n"))
    }

    fn yaml(&self) -> String {
        self.relative(&self.loaded().document.to_yaml(false))
    }
}

fn one(text: &str) -> Case {
    Case::new(&[("compose.yaml", text)])
}
