//! A visit to every page, as a browser without scripts makes it, and what is the same whoever makes it.

use std::path::Path;

use crate::http::{Jar, Response};
use crate::server::Server;

/// A request, and its answer without what differs from visit to visit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    request: String,
    status: u16,
    fields: Vec<(String, String)>,
    body: String,
}

impl Page {
    fn new(request: &str, response: &Response) -> Page {
        let mut fields = response.fields.clone();
        fields.retain(|(name, _)| name != "date");
        for (name, value) in &mut fields {
            if name == "set-cookie" {
                *value = without_value(value);
            }
        }
        let mut body = response.text();
        if let Some(start) = body.find("name=\"_token\" value=\"") {
            let token = body[start + 21..start + 61].to_owned();
            body = body.replace(&token, "TOKEN");
        }
        Page {
            request: request.to_owned(),
            status: response.status,
            fields,
            body,
        }
    }
}

struct Visitor<'a> {
    server: &'a Server,
    jar: Jar,
    token: String,
    pages: Vec<Page>,
}

/// All pages in an order. `manifest`: what the application cannot do without.
pub(super) fn visit(server: &Server, manifest: &Path) -> Vec<Page> {
    let mut visitor = Visitor {
        server,
        jar: Jar::default(),
        token: String::new(),
        pages: Vec::new(),
    };
    visitor.look_around();
    visitor.create();
    visitor.pay();
    visitor.fail(manifest);
    visitor.pages
}

impl Visitor<'_> {
    fn look_around(&mut self) {
        self.get("/", 302);
        self.get("/invoices", 200);
        self.get("/invoices?page=2", 200);
        self.get("/health", 200);
        self.get("/favicon.svg", 200);
        self.get("/nothing/here", 404);
        self.get("/invoices/INV-0000-0000", 404);
        self.request("HEAD", "/invoices", "", 200);
        self.request("PUT", "/invoices", "", 405);
    }

    fn create(&mut self) {
        let form = self.get("/invoices/create", 200).text();
        let start = form.find("name=\"_token\" value=\"").expect("a token") + 21;
        self.token = form[start..start + 40].to_owned();
        let wrong = "customer_id=&issued_on=2030-01-31&due_on=2030-01-01&tax_basis_points=1&lines[0][description]=%3Cb%3E\
                     &lines[0][quantity]=0&lines[0][unit_price]=x&notes=kept";
        self.post("/invoices", wrong, 302);
        let again = self.get("/invoices/create", 200).text();
        assert!(
            again.contains("&lt;b&gt;") && again.contains(">kept<"),
            "{again}"
        );
        // What was typed is shown once.
        assert!(!self.get("/invoices/create", 200).text().contains(">kept<"));
        let right = "customer_id=1&issued_on=2030-01-01&due_on=2030-01-31&tax_basis_points=0&lines[0][description]=Work\
                     &lines[0][quantity]=2&lines[0][unit_price]=12.50";
        self.post("/invoices", right, 302);
        let invoice = self.get("/invoices/INV-2030-0001", 200).text();
        assert!(invoice.contains("was created"), "{invoice}");
        assert!(
            !self
                .get("/invoices/INV-2030-0001", 200)
                .text()
                .contains("was created")
        );
    }

    fn pay(&mut self) {
        let path = "/invoices/INV-2030-0001";
        self.post(&format!("{path}/payment"), "", 302);
        self.get(path, 200);
        self.post(&format!("{path}/payment"), "_method=delete", 302);
        self.get(path, 200);
        self.get(&format!("{path}/delivery"), 200);
        self.get(&format!("{path}/pdf"), 200);
        self.post(&format!("{path}/delivery"), "", 302);
        self.get("/invoices", 200);
    }

    fn fail(&mut self, manifest: &Path) {
        let token = std::mem::take(&mut self.token);
        self.post("/invoices", "", 419);
        self.token = token;
        let away = manifest.with_extension("away");
        fs_err::rename(manifest, &away).unwrap();
        self.get("/invoices", 500);
        fs_err::rename(away, manifest).unwrap();
        self.get("/invoices", 200);
    }

    fn get(&mut self, path: &str, status: u16) -> Response {
        self.request("GET", path, "", status)
    }

    fn post(&mut self, path: &str, form: &str, status: u16) -> Response {
        let form = format!("_token={}&{form}", self.token);
        self.request("POST", path, &form, status)
    }

    fn request(&mut self, method: &str, path: &str, body: &str, status: u16) -> Response {
        let cookie = self.jar.cookie();
        let fields = [
            // Links have the host in them.
            ("host", "invoices.example:8000"),
            ("accept", "text/html"),
            ("referer", "http://invoices.example:8000/invoices/create"),
            ("content-type", "application/x-www-form-urlencoded"),
            ("cookie", &cookie),
        ];
        let response = self.server.send(method, path, &fields, body.as_bytes());
        assert_eq!(
            response.status,
            status,
            "{method} {path}: {}",
            response.text()
        );
        self.jar.keep(&response);
        let page = Page::new(&format!("{method} {path}"), &response);
        self.pages.push(page);
        response
    }
}

/// A cookie's name and attributes, but for the time at which it ends.
fn without_value(cookie: &str) -> String {
    let mut parts = cookie.split("; ");
    let name = parts.next().and_then(|pair| pair.split('=').next());
    let attributes = parts.filter(|part| !part.starts_with("expires="));
    name.into_iter()
        .chain(attributes)
        .collect::<Vec<_>>()
        .join("; ")
}
