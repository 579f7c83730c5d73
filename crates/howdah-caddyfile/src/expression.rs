//! Expressions, of which conditions can be made: the part of the Common Expression Language that Caddy's users write.
//! `path('/api/*') && !method('GET') || {query}.contains("debug")`.

use serde::Serialize;

use crate::error::{CaddyfileError, Fault};
use crate::matchers::{self, MatcherSet, Pattern};
use crate::template::Template;
use crate::tree::Directive;

/// Parentheses within parentheses.
const MOST_DEPTH: usize = 32;
const EXPECTED: &str = "an expression of matchers such as path('/a/*'), of comparisons with ==, !=, <, <=, >, >= and in, of contains(), \
                        startsWith(), endsWith() and matches(), and of &&, || and !";

/// What is true of a request, or not.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Expression {
    /// `true` or `false`.
    Constant(bool),
    /// It is not so.
    Not(Box<Expression>),
    /// All of them, from left to right as far as needed.
    All(Vec<Expression>),
    /// One of them.
    Any(Vec<Expression>),
    /// A matcher, called as a function.
    Matches(MatcherSet),
    /// Two texts, as numbers if both are.
    Compare(Template, Comparison, Template),
    /// One of several texts.
    In(Template, Vec<Template>),
    /// A text has another one somewhere.
    Contains(Template, Template),
    /// At its beginning.
    StartsWith(Template, Template),
    /// At its end.
    EndsWith(Template, Template),
    /// A text fits a regular expression.
    Fits(Template, Pattern),
}

/// How two texts are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// `==`.
    Equal,
    /// `!=`.
    NotEqual,
    /// `<`.
    Less,
    /// `<=`.
    AtMost,
    /// `>`.
    Greater,
    /// `>=`.
    AtLeast,
}

/// A word of an expression.
#[derive(Debug, Clone, PartialEq)]
enum Word {
    /// A name of a function, or a number.
    Name(String),
    Text(String),
    /// A placeholder, with its braces.
    Value(String),
    Sign(&'static str),
}

/// What a part of an expression gives.
enum Part {
    Truth(Expression),
    Text(Template),
    Texts(Vec<Template>),
}

/// Reads an expression that stands in `directive`.
pub(crate) fn parse(
    text: &str,
    directive: &Directive,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Expression, CaddyfileError> {
    let fault = || directive.fault(Fault::value(text, EXPECTED));
    let words = words(text).ok_or_else(fault)?;
    let mut parser = Parser {
        words: &words,
        depth: 0,
        directive,
        variable,
    };
    match parser.any()? {
        Part::Truth(expression) if parser.words.is_empty() => Ok(expression),
        _ => Err(fault()),
    }
}

fn words(text: &str) -> Option<Vec<Word>> {
    const SIGNS: [&str; 20] = [
        "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "(", ")", "[", "]", "{", "}", ",", ":",
        ".", "-", "+",
    ];
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let end = if first == '"' || first == '\'' {
            let (text, end) = quoted(rest, first)?;
            words.push(Word::Text(text));
            end
        } else if let Some(end) = placeholder(rest) {
            words.push(Word::Value(rest[..end].to_owned()));
            end
        } else if first.is_ascii_alphanumeric() || first == '_' {
            let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
            let end = rest.find(|character| !is_name(character));
            let end = end.unwrap_or(rest.len());
            words.push(Word::Name(rest[..end].to_owned()));
            end
        } else {
            let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign))?;
            words.push(Word::Sign(sign));
            sign.len()
        };
        rest = rest[end..].trim_start();
    }
    Some(words)
}

/// A text in quotes, and where it ends. A backslash that stands before neither a quote nor a backslash is one of a regular
/// expression.
fn quoted(text: &str, quote: char) -> Option<(String, usize)> {
    let mut content = String::new();
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((place, character)) = characters.next() {
        match (character, characters.peek()) {
            ('\\', Some((_, next))) if *next == quote || *next == '\\' => {
                content.push(*next);
                characters.next();
            }
            (end, _) if end == quote => return Some((content, place + 1)),
            (other, _) => content.push(other),
        }
    }
    None
}

/// Where the placeholder at the beginning ends; a map begins with a brace, too, but has a quote behind it.
fn placeholder(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('{')?;
    let end = inner.find('}')?;
    let is_name =
        |character: char| character.is_ascii_alphanumeric() || "._-?$".contains(character);
    (end > 0 && inner[..end].chars().all(is_name)).then_some(end + 2)
}

struct Parser<'a> {
    words: &'a [Word],
    depth: usize,
    directive: &'a Directive,
    variable: &'a dyn Fn(&str) -> Option<String>,
}

impl Parser<'_> {
    fn fault(&self) -> CaddyfileError {
        let text = self.directive.arguments.join(" ");
        self.directive.fault(Fault::value(&text, EXPECTED))
    }

    fn take(&mut self, sign: &str) -> bool {
        let is_next = matches!(self.words.first(), Some(Word::Sign(next)) if *next == sign);
        if is_next {
            self.words = &self.words[1..];
        }
        is_next
    }

    fn need(&mut self, sign: &str) -> Result<(), CaddyfileError> {
        let is_there = self.take(sign);
        is_there.then_some(()).ok_or_else(|| self.fault())
    }

    fn template(&self, text: &str) -> Template {
        Template::parse(text, self.variable)
    }

    fn truth(&self, part: Part) -> Result<Expression, CaddyfileError> {
        match part {
            Part::Truth(expression) => Ok(expression),
            _ => Err(self.fault()),
        }
    }

    fn text(&self, part: Part) -> Result<Template, CaddyfileError> {
        match part {
            Part::Text(text) => Ok(text),
            _ => Err(self.fault()),
        }
    }

    fn any(&mut self) -> Result<Part, CaddyfileError> {
        self.joined("||", Self::all, Expression::Any)
    }

    fn all(&mut self) -> Result<Part, CaddyfileError> {
        self.joined("&&", Self::comparison, Expression::All)
    }

    /// Several parts with a sign between them, or one.
    fn joined(
        &mut self,
        sign: &str,
        part: fn(&mut Self) -> Result<Part, CaddyfileError>,
        join: fn(Vec<Expression>) -> Expression,
    ) -> Result<Part, CaddyfileError> {
        let first = part(self)?;
        if !self.take(sign) {
            return Ok(first);
        }
        let mut parts = vec![self.truth(first)?];
        loop {
            let next = part(self)?;
            parts.push(self.truth(next)?);
            if !self.take(sign) {
                return Ok(Part::Truth(join(parts)));
            }
        }
    }

    fn comparison(&mut self) -> Result<Part, CaddyfileError> {
        const SIGNS: [(&str, Comparison); 6] = [
            ("==", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<=", Comparison::AtMost),
            ("<", Comparison::Less),
            (">=", Comparison::AtLeast),
            (">", Comparison::Greater),
        ];
        let left = self.unary()?;
        for (sign, comparison) in SIGNS {
            if self.take(sign) {
                let right = self.unary()?;
                let (left, right) = (self.text(left)?, self.text(right)?);
                return Ok(Part::Truth(Expression::Compare(left, comparison, right)));
            }
        }
        if self.words.first() == Some(&Word::Name("in".into())) {
            self.words = &self.words[1..];
            let left = self.text(left)?;
            return match self.unary()? {
                Part::Texts(texts) => Ok(Part::Truth(Expression::In(left, texts))),
                _ => Err(self.fault()),
            };
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Part, CaddyfileError> {
        if !self.take("!") {
            return self.with_methods();
        }
        self.deeper(|parser| {
            let inner = parser.unary()?;
            let inner = parser.truth(inner)?;
            Ok(Part::Truth(Expression::Not(Box::new(inner))))
        })
    }

    fn deeper(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<Part, CaddyfileError>,
    ) -> Result<Part, CaddyfileError> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return Err(self.directive.fault(Fault::TooDeep));
        }
        let part = read(self);
        self.depth -= 1;
        part
    }

    /// `{path}.startsWith("/a")`.
    fn with_methods(&mut self) -> Result<Part, CaddyfileError> {
        let part = self.primary()?;
        if !self.take(".") {
            return Ok(part);
        }
        let of = self.text(part)?;
        let Some((Word::Name(method), rest)) = self.words.split_first() else {
            return Err(self.fault());
        };
        self.words = rest;
        let texts = self.arguments()?;
        let [with] = texts.as_slice() else {
            return Err(self.fault());
        };
        let with = || self.template(with);
        Ok(Part::Truth(match method.as_str() {
            "contains" => Expression::Contains(of, with()),
            "startsWith" => Expression::StartsWith(of, with()),
            "endsWith" => Expression::EndsWith(of, with()),
            "matches" => Expression::Fits(of, matchers::pattern(&texts[0], self.directive)?),
            _ => return Err(self.fault()),
        }))
    }

    fn primary(&mut self) -> Result<Part, CaddyfileError> {
        if self.take("(") {
            return self.deeper(|parser| {
                let inner = parser.any()?;
                parser.need(")")?;
                Ok(inner)
            });
        }
        if self.take("[") {
            let texts = self.list("]")?;
            let texts = texts.iter().map(|text| self.template(text));
            return Ok(Part::Texts(texts.collect()));
        }
        let Some((word, rest)) = self.words.split_first() else {
            return Err(self.fault());
        };
        self.words = rest;
        match word {
            Word::Text(text) | Word::Value(text) => Ok(Part::Text(self.template(text))),
            Word::Name(name) if name == "true" || name == "false" => {
                Ok(Part::Truth(Expression::Constant(name == "true")))
            }
            Word::Name(name) if name.bytes().all(|byte| byte.is_ascii_digit()) => {
                Ok(Part::Text(Template::text(name)))
            }
            Word::Name(name) => self.matcher(name),
            Word::Sign(_) => Err(self.fault()),
        }
    }

    /// `path('/a', '/b')`, or `header({'Accept': 'text/*', 'Host': ['a', 'b']})`.
    fn matcher(&mut self, name: &str) -> Result<Part, CaddyfileError> {
        let directive = |arguments: Vec<String>| Directive {
            name: name.to_owned(),
            quoted: vec![true; arguments.len()],
            arguments,
            block: None,
            place: self.directive.place.clone(),
        };
        let is_map = matches!(self.words, [Word::Sign("("), Word::Sign("{"), ..]);
        if is_map && name == "file" {
            let instead = "name the files: file('/a', '/b')";
            return Err(self.directive.unsupported(instead));
        }
        let directives = if is_map {
            let pairs = self.map()?;
            pairs
                .into_iter()
                .map(|(key, values)| match name {
                    "query" => {
                        let pairs = values.iter().map(|value| format!("{key}={value}"));
                        directive(pairs.collect())
                    }
                    _ => directive(std::iter::once(key).chain(values).collect()),
                })
                .collect()
        } else {
            vec![directive(self.arguments()?)]
        };
        let set = matchers::set(&directives, self.variable)?;
        Ok(Part::Truth(Expression::Matches(set)))
    }

    fn map(&mut self) -> Result<Vec<(String, Vec<String>)>, CaddyfileError> {
        self.need("(")?;
        self.need("{")?;
        let mut pairs = Vec::new();
        while !self.take("}") {
            let key = self.plain_text()?;
            self.need(":")?;
            let values = if self.take("[") {
                self.list("]")?
            } else {
                vec![self.plain_text()?]
            };
            pairs.push((key, values));
            if !self.take(",") {
                self.need("}")?;
                break;
            }
        }
        self.need(")")?;
        Ok(pairs)
    }

    fn arguments(&mut self) -> Result<Vec<String>, CaddyfileError> {
        self.need("(")?;
        self.list(")")
    }

    fn list(&mut self, end: &str) -> Result<Vec<String>, CaddyfileError> {
        let mut texts = Vec::new();
        while !self.take(end) {
            texts.push(self.plain_text()?);
            if !self.take(",") {
                self.need(end)?;
                break;
            }
        }
        Ok(texts)
    }

    fn plain_text(&mut self) -> Result<String, CaddyfileError> {
        let Some((Word::Text(text) | Word::Value(text) | Word::Name(text), rest)) =
            self.words.split_first()
        else {
            return Err(self.fault());
        };
        self.words = rest;
        Ok(text.clone())
    }
}
