//! The options of `RUN --device` (<https://docs.docker.com/reference/dockerfile/#run---device>).

use super::text::{Problem, boolean, split_fields};
use crate::{Device, Fault, Word};

impl Device {
    /// `name`, `name=NAME` and `required`, separated by commas.
    pub(crate) fn parse(word: &Word) -> Result<Device, Fault> {
        let device = || {
            let mut device = Device {
                name: String::new(),
                required: false,
            };
            for field in split_fields(&word.text)? {
                device.set(&field)?;
            }
            Ok(device)
        };
        device().map_err(|problem: Problem| problem.at(word.span))
    }

    fn set(&mut self, field: &str) -> Result<(), Problem> {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_lowercase(), Some(value)),
            None => (field.to_lowercase(), None),
        };
        match (key.as_str(), value) {
            ("required", None) => self.required = true,
            ("required", Some(value)) => self.required = boolean("required", value)?,
            ("name", Some(value)) if self.name.is_empty() => value.clone_into(&mut self.name),
            // A class may have `=` in it: `vendor.example/gpu=0`.
            _ if self.name.is_empty() => field.clone_into(&mut self.name),
            _ => {
                return Err(Problem::new(format!("unknown device option `{field}`"))
                    .help("a device has a name, and perhaps `required`"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Span;

    fn parse(text: &str) -> Result<(String, bool), String> {
        let word = Word {
            text: text.to_owned(),
            span: Span::default(),
        };
        let device = Device::parse(&word).map_err(|fault| fault.message)?;
        Ok((device.name, device.required))
    }

    #[test]
    fn devices_have_a_name_and_may_be_required() {
        let device = |name: &str, required| Ok((name.to_owned(), required));
        assert_eq!(
            parse("vendor.example/gpu"),
            device("vendor.example/gpu", false)
        );
        assert_eq!(
            parse("vendor.example/gpu=0,required"),
            device("vendor.example/gpu=0", true)
        );
        assert_eq!(parse("required=false,name=a/b"), device("a/b", false));
        assert!(parse("a/b,c/d").is_err());
        assert!(parse("a/b,required=yes").is_err());
    }
}
