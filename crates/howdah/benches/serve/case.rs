//! The requests that are measured.

/// One request, sent again and again.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) target: &'static str,
    pub(crate) body: Body,
    /// Are two answers equal? Not if there is a token in them.
    pub(crate) is_constant: bool,
    /// Does it ask the services?
    pub(crate) needs_services: bool,
}

/// What a request brings along.
#[derive(Clone, Copy)]
pub(crate) enum Body {
    None,
    /// So many bytes.
    Bytes(usize),
    /// A form with a file of so many bytes, as `file`.
    File(usize),
}

impl Case {
    fn get(name: &'static str, target: &'static str) -> Case {
        let body = Body::None;
        Case {
            name,
            target,
            body,
            is_constant: true,
            needs_services: false,
        }
    }

    fn post(name: &'static str, target: &'static str, body: Body) -> Case {
        let case = Case::get(name, target);
        Case { body, ..case }
    }
}

pub(crate) fn plain() -> Vec<Case> {
    vec![
        Case::get("hello", "/hello"),
        Case::post("echo of 50 KiB", "/echo", Body::Bytes(50 << 10)),
        Case::get("JSON of 100 rows", "/json?page=2"),
        Case::post("POST of 6 MB", "/post", Body::Bytes(6 << 20)),
        Case::post("upload of 1 MB", "/upload", Body::File(1 << 20)),
        Case {
            is_constant: false,
            needs_services: true,
            ..Case::get("PostgreSQL and Redis", "/data")
        },
    ]
}

pub(crate) fn laravel() -> Vec<Case> {
    vec![
        Case::get("Laravel JSON route", "/api/customers/7?page=2"),
        Case {
            is_constant: false,
            ..Case::get("Laravel Blade view", "/")
        },
    ]
}

pub(crate) fn files() -> Vec<Case> {
    vec![
        Case::get("file of 1 KiB", "/1k.bin"),
        Case::get("file of 1 MiB", "/1m.bin"),
    ]
}

impl Body {
    /// The content, and the value of `Content-Type`.
    pub(crate) fn content(self) -> Option<(Vec<u8>, &'static str)> {
        match self {
            Body::None => None,
            Body::Bytes(length) => Some((vec![b'x'; length], "application/octet-stream")),
            Body::File(length) => {
                let head = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n\
                    Content-Type: application/octet-stream\r\n\r\n";
                let content = [head.as_bytes(), &vec![b'x'; length], b"\r\n--b--\r\n"].concat();
                Some((content, "multipart/form-data; boundary=b"))
            }
        }
    }
}
