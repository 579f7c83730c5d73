//! Expressions of matchers: is it so for this request?

use std::cmp::Ordering;

use howdah_caddyfile::{Comparison, Expression};

use super::Failure;
use super::trip::Trip;

impl Trip<'_> {
    /// From left to right, as far as needed. What was captured on the way stays.
    pub(super) fn is_true(&mut self, expression: &Expression) -> Result<bool, Failure> {
        Ok(match expression {
            Expression::Constant(truth) => *truth,
            Expression::Not(inner) => !self.is_true(inner)?,
            Expression::All(parts) => {
                for part in parts {
                    if !self.is_true(part)? {
                        return Ok(false);
                    }
                }
                true
            }
            Expression::Any(parts) => {
                for part in parts {
                    if self.is_true(part)? {
                        return Ok(true);
                    }
                }
                false
            }
            Expression::Matches(set) => self.matches(set)?,
            Expression::Compare(left, comparison, right) => {
                compare(&self.fill(left), *comparison, &self.fill(right))
            }
            Expression::In(text, texts) => {
                let text = self.fill(text);
                texts.iter().any(|one| self.fill(one) == text)
            }
            Expression::Contains(text, part) => self.fill(text).contains(&self.fill(part)),
            Expression::StartsWith(text, part) => self.fill(text).starts_with(&self.fill(part)),
            Expression::EndsWith(text, part) => self.fill(text).ends_with(&self.fill(part)),
            Expression::Fits(text, pattern) => pattern.0.is_match(&self.fill(text)),
        })
    }
}

/// As numbers if both are, else by their bytes.
fn compare(left: &str, comparison: Comparison, right: &str) -> bool {
    let order = match (left.parse::<i64>(), right.parse::<i64>()) {
        (Ok(left), Ok(right)) => left.cmp(&right),
        _ => left.cmp(right),
    };
    match comparison {
        Comparison::Equal => order == Ordering::Equal,
        Comparison::NotEqual => order != Ordering::Equal,
        Comparison::Less => order == Ordering::Less,
        Comparison::AtMost => order != Ordering::Greater,
        Comparison::Greater => order == Ordering::Greater,
        Comparison::AtLeast => order != Ordering::Less,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_no_texts() {
        assert!(compare("9", Comparison::Less, "10") && compare("404", Comparison::Equal, "404"));
        assert!(compare("b", Comparison::Greater, "ab") && compare("a", Comparison::NotEqual, "b"));
        assert!(compare("4", Comparison::AtMost, "4") && !compare("3", Comparison::AtLeast, "4"));
    }
}
