//! The text files of `cases/`: what is asked, the script, and what must come.
//!
//! `# name` begins a case; `> METHOD URI`, `> Header: value` and `>> body` ask; `< status`, `< Header: value`, `<- Header` (must not
//! come), `<< body`, `<log text` and `<1xx 103 Link: x` are expected; `<@mode reason` begins other expectations for that mode. All
//! other lines are PHP. `\r`, `\n`, `\t` and `\0` stand for what they do in C in bodies.

use std::path::Path;

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Expectation {
    pub(crate) status: u16,
    pub(crate) headers: Vec<String>,
    pub(crate) absent: Vec<String>,
    pub(crate) body: String,
    pub(crate) log: Vec<String>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) method: String,
    pub(crate) uri: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    pub(crate) code: String,
    pub(crate) interim: Vec<String>,
    expected: Expectation,
    elsewhere: Vec<(String, Expectation)>,
}

impl Case {
    pub(crate) fn get(uri: &str) -> Case {
        Case {
            method: "GET".to_owned(),
            uri: uri.to_owned(),
            expected: Expectation {
                status: 200,
                ..Expectation::default()
            },
            ..Case::default()
        }
    }

    pub(crate) fn expectation(&self, mode: &str) -> &Expectation {
        self.elsewhere
            .iter()
            .find(|(other, _)| other == mode)
            .map_or(&self.expected, |(_, expectation)| expectation)
    }

    fn current(&mut self) -> &mut Expectation {
        match self.elsewhere.last_mut() {
            Some((_, expectation)) => expectation,
            None => &mut self.expected,
        }
    }

    fn line(&mut self, line: &str) {
        if let Some(text) = line.strip_prefix(">> ") {
            push_line(&mut self.body, text);
        } else if let Some(text) = line.strip_prefix("> ") {
            self.ask(text);
        } else if let Some(text) = line.strip_prefix("<< ") {
            push_line(&mut self.current().body, text);
        } else if let Some(text) = line.strip_prefix("<- ") {
            self.current().absent.push(text.to_owned());
        } else if let Some(text) = line.strip_prefix("<log ") {
            self.current().log.push(text.to_owned());
        } else if let Some(text) = line.strip_prefix("<1xx ") {
            self.interim.push(text.to_owned());
        } else if let Some(text) = line.strip_prefix("<@") {
            let (mode, reason) = text.split_once(' ').expect("a mode and its reason");
            assert!(!reason.is_empty());
            self.elsewhere.push((
                mode.to_owned(),
                Expectation {
                    status: 200,
                    ..Expectation::default()
                },
            ));
        } else if let Some(text) = line.strip_prefix("< ") {
            match text.parse() {
                Ok(status) => self.current().status = status,
                Err(_) => self.current().headers.push(text.to_owned()),
            }
        } else {
            self.code.push_str(line);
            self.code.push('\n');
        }
    }

    fn ask(&mut self, text: &str) {
        if let Some((name, value)) = text.split_once(": ") {
            self.headers.push((name.to_owned(), value.to_owned()));
        } else {
            let (method, uri) = text.split_once(' ').expect("a method and a URI");
            (self.method, self.uri) = (method.to_owned(), uri.to_owned());
        }
    }
}

fn push_line(text: &mut String, line: &str) {
    if !text.is_empty() {
        text.push('\n');
    }
    let line = line.replace("\\r", "\r").replace("\\n", "\n");
    text.push_str(&line.replace("\\t", "\t").replace("\\0", "\0"));
}

/// Of all files, in the order of their names.
pub(crate) fn all() -> Vec<Case> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/behaviour/cases");
    let mut files: Vec<_> = fs_err::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
        .iter()
        .flat_map(|file| of(&fs_err::read_to_string(file).unwrap()))
        .collect()
}

fn of(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("# ") {
            cases.push(Case {
                name: name.to_owned(),
                ..Case::get("/")
            });
        } else if let Some(case) = cases.last_mut()
            && !line.is_empty()
        {
            case.line(line);
        }
    }
    cases
}
