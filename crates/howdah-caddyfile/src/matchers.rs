//! When a step is taken.

use ipnet::IpNet;
use regex::Regex;
use serde::{Serialize, Serializer};

use crate::error::{CaddyfileError, Fault};
use crate::expression::{self, Expression};
use crate::template::Template;
use crate::tree::Directive;

const KNOWN: &str = "path, path_regexp, method, host, header, header_regexp, query, protocol, remote_ip, client_ip, file, vars, expression and not";
/// A compiled regular expression may take so many bytes.
const MOST_PATTERN_BYTES: usize = 1 << 20;

/// All must match. Each is a matcher of Caddy's of the same name.
pub type MatcherSet = Vec<Matcher>;

/// A condition.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Matcher {
    /// The path is one of these, in lower case; `*` at the beginning and the end is anything.
    Path(Vec<String>),
    /// The path matches, under this name for placeholders.
    PathRegexp(String, Pattern),
    /// The method is one of these.
    Method(Vec<String>),
    /// The host is one of these.
    Host(Vec<String>),
    /// A field of the header has one of these values, in which `*` is anything; with none it is there; `!` before the name: it is not.
    Header(String, Vec<String>),
    /// A field of the header matches, under this name for placeholders.
    HeaderRegexp(String, String, Pattern),
    /// Parameters of the query have these values; `*` is any.
    Query(Vec<(String, String)>),
    /// `http`, `https`, `grpc` or a version such as `http/2`.
    Protocol(String),
    /// The client is in one of these networks.
    RemoteIp(Vec<IpNet>),
    /// One of these files is there.
    File(FileMatcher),
    /// A variable has one of these values.
    Vars(Template, Vec<String>),
    /// None of these sets matches.
    Not(Vec<MatcherSet>),
    /// This is true.
    Expression(Expression),
}

/// Files that are looked for in the document root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct FileMatcher {
    /// Another document root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<Template>,
    /// Paths, in order; a query behind one replaces the request's; `=404` fails with that status.
    pub try_files: Vec<Template>,
    /// The last one need not be there.
    pub has_fallback: bool,
    /// Ends of a script's name, behind which more may follow.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub split_path: Vec<String>,
}

/// A regular expression, which takes linear time.
#[derive(Debug, Clone)]
pub struct Pattern(pub Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

pub(crate) fn pattern(text: &str, directive: &Directive) -> Result<Pattern, CaddyfileError> {
    let built = regex::RegexBuilder::new(text)
        .size_limit(MOST_PATTERN_BYTES)
        .build();
    let expected = "a regular expression (RE2, without look-around)";
    built
        .map(Pattern)
        .map_err(|_| directive.fault(Fault::value(text, expected)))
}

/// A set of a block, or of the words behind a name.
pub(crate) fn set(
    directives: &[Directive],
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<MatcherSet, CaddyfileError> {
    let mut set: MatcherSet = Vec::new();
    for directive in directives {
        let matcher = matcher(directive, variable)?;
        // The same matcher twice: its values are added, as Caddy has it.
        if !set.iter_mut().any(|before| before.extend(&matcher)) {
            set.push(matcher);
        }
    }
    Ok(set)
}

impl Matcher {
    /// Takes the values of another one, if it is of the same kind.
    fn extend(&mut self, other: &Matcher) -> bool {
        match (self, other) {
            (Self::Path(all), Self::Path(more))
            | (Self::Method(all), Self::Method(more))
            | (Self::Host(all), Self::Host(more)) => all.extend(more.iter().cloned()),
            (Self::RemoteIp(all), Self::RemoteIp(more)) => all.extend(more),
            (Self::Header(name, all), Self::Header(other, more))
                if name == other && !all.is_empty() && !more.is_empty() =>
            {
                all.extend(more.iter().cloned());
            }
            _ => return false,
        }
        true
    }
}

fn matcher(
    directive: &Directive,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Matcher, CaddyfileError> {
    let words = directive.words();
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let lower = |words: &[&str]| words.iter().map(|word| word.to_lowercase()).collect();
    Ok(match (directive.name.as_str(), words.as_slice()) {
        ("path", words @ [_, ..]) => Matcher::Path(words.iter().map(|word| path(word)).collect()),
        ("path_regexp", [expression]) => {
            Matcher::PathRegexp(String::new(), pattern(expression, directive)?)
        }
        ("path_regexp", [name, expression]) => {
            Matcher::PathRegexp((*name).into(), pattern(expression, directive)?)
        }
        ("method", words @ [_, ..]) => {
            Matcher::Method(words.iter().map(|word| word.to_uppercase()).collect())
        }
        ("host", words @ [_, ..]) => Matcher::Host(lower(words)),
        ("header", [name, values @ ..]) => Matcher::Header(name.to_lowercase(), owned(values)),
        ("header_regexp", [field, expression]) => Matcher::HeaderRegexp(
            String::new(),
            field.to_lowercase(),
            pattern(expression, directive)?,
        ),
        ("header_regexp", [name, field, expression]) => Matcher::HeaderRegexp(
            (*name).into(),
            field.to_lowercase(),
            pattern(expression, directive)?,
        ),
        ("query", words @ [_, ..]) => Matcher::Query(queries(words, directive)?),
        ("protocol", [name]) => Matcher::Protocol(name.to_lowercase()),
        ("remote_ip" | "client_ip", words @ [_, ..]) => {
            Matcher::RemoteIp(networks(words, directive)?)
        }
        ("file", _) => Matcher::File(file(directive, variable)?),
        ("vars", [name, values @ ..]) if !values.is_empty() => {
            Matcher::Vars(Template::parse(name, variable), owned(values))
        }
        ("not", []) => Matcher::Not(vec![set(directive.inner(), variable)?]),
        ("not", _) => {
            let inner = directive.of_arguments();
            Matcher::Not(vec![set(inner.as_slice(), variable)?])
        }
        ("expression", words @ [_, ..]) => {
            let text = expression_text(words, &directive.quoted);
            Matcher::Expression(expression::parse(&text, directive, variable)?)
        }
        (name, _) if KNOWN.split([',', ' ']).any(|known| known == name) => {
            return Err(directive.usage("NAME VALUE..."));
        }
        _ => return Err(directive.unknown("a matcher", KNOWN)),
    })
}

/// One word, or several whose quotes are a part of the expression.
fn expression_text(words: &[&str], quoted: &[bool]) -> String {
    let [word] = words else {
        let quote = |(word, is_quoted): (&&str, &bool)| match is_quoted {
            true => format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\"")),
            false => (*word).to_owned(),
        };
        let words: Vec<String> = words.iter().zip(quoted).map(quote).collect();
        return words.join(" ");
    };
    (*word).to_owned()
}

/// Paths are compared in lower case; one without a slash is one at the root.
pub(crate) fn path(pattern: &str) -> String {
    let pattern = pattern.to_lowercase();
    if pattern.starts_with(['/', '*']) {
        pattern
    } else {
        format!("/{pattern}")
    }
}

fn queries(words: &[&str], directive: &Directive) -> Result<Vec<(String, String)>, CaddyfileError> {
    let pairs = words.iter().map(|word| word.split_once('='));
    pairs
        .map(|pair| pair.map(|(name, value)| (name.to_owned(), value.to_owned())))
        .collect::<Option<_>>()
        .ok_or_else(|| directive.usage("query NAME=VALUE..."))
}

/// Networks and addresses; `private_ranges` are those of RFC 1918, RFC 4193 and the loopback.
pub(crate) fn networks(
    words: &[&str],
    directive: &Directive,
) -> Result<Vec<IpNet>, CaddyfileError> {
    const PRIVATE: [&str; 6] = [
        "192.168.0.0/16",
        "172.16.0.0/12",
        "10.0.0.0/8",
        "127.0.0.1/8",
        "fd00::/8",
        "::1/128",
    ];
    let mut networks = Vec::new();
    for word in words {
        let all: &[&str] = if *word == "private_ranges" {
            &PRIVATE
        } else {
            std::slice::from_ref(word)
        };
        for text in all {
            let network = text
                .parse()
                .or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
            networks.push(network.map_err(|_| {
                directive.fault(Fault::value(
                    text,
                    "an address or a network such as 10.0.0.0/8",
                ))
            })?);
        }
    }
    Ok(networks)
}

fn file(
    directive: &Directive,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<FileMatcher, CaddyfileError> {
    let template = |word: &&str| Template::parse(word, variable);
    let mut matcher = FileMatcher {
        try_files: directive.words().iter().map(template).collect(),
        ..FileMatcher::default()
    };
    for option in directive.inner() {
        let words = option.words();
        match (option.name.as_str(), words.as_slice()) {
            ("root", [root]) => matcher.root = Some(Template::parse(root, variable)),
            ("try_files", words @ [_, ..]) => {
                matcher.try_files.extend(words.iter().map(template));
            }
            ("try_policy", ["first_exist"]) => matcher.has_fallback = false,
            ("try_policy", ["first_exist_fallback"]) => matcher.has_fallback = true,
            ("try_policy", _) => {
                return Err(option.unsupported("use first_exist or first_exist_fallback"));
            }
            ("split_path", words @ [_, ..]) => {
                matcher.split_path = words.iter().map(|word| word.to_lowercase()).collect();
            }
            _ => {
                let known = "root, try_files, try_policy and split_path";
                return Err(option.unknown("file", known));
            }
        }
    }
    if matcher.try_files.is_empty() {
        matcher.try_files.push(Template::parse("{path}", variable));
    }
    Ok(matcher)
}
