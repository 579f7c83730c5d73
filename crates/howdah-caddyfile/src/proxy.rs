//! `reverse_proxy`: another server that answers.

use crate::error::{CaddyfileError, Fault};
use crate::model::{Handler, ReverseProxy};
use crate::options::duration;
use crate::site::Compiler;
use crate::template::Template;
use crate::tree::Directive;

const KNOWN: &str = "to, lb_policy, header_up, header_down, rewrite, transport and others of Caddy's that have no effect here";

impl Compiler<'_> {
    /// `reverse_proxy UPSTREAM... { ... }`; its matcher is not among the arguments any more.
    pub(crate) fn reverse_proxy(
        &mut self,
        directive: &Directive,
    ) -> Result<Handler, CaddyfileError> {
        let mut proxy = ReverseProxy::default();
        self.upstreams(&mut proxy, directive)?;
        for option in directive.inner() {
            self.proxy_option(&mut proxy, option)?;
        }
        if proxy.upstreams.is_empty() {
            return Err(directive.usage("reverse_proxy [MATCHER] HOST:PORT..."));
        }
        Ok(Handler::ReverseProxy(Box::new(proxy)))
    }

    fn proxy_option(
        &mut self,
        proxy: &mut ReverseProxy,
        option: &Directive,
    ) -> Result<(), CaddyfileError> {
        let words = option.words();
        match (option.name.as_str(), words.as_slice()) {
            ("to", _) => self.upstreams(proxy, option)?,
            ("lb_policy", [policy, ..]) => {
                proxy.in_order = *policy == "first";
                if !["first", "round_robin", "random"].contains(policy) {
                    self.warn(option, "the servers are asked in turns");
                }
            }
            ("header_up", words @ [_, ..]) => {
                proxy.request.push(self.header_change(words, option)?);
            }
            ("header_down", words @ [_, ..]) => {
                proxy.response.push(self.header_change(words, option)?);
            }
            ("rewrite", [to]) => proxy.rewrite = Some(self.template(to)),
            ("transport", ["http"]) => self.transport(proxy, option)?,
            // Whoever does not answer is passed over by each request anew; a piece of a response is passed on when it is there.
            (
                "lb_retries"
                | "lb_try_duration"
                | "lb_try_interval"
                | "health_uri"
                | "health_port"
                | "health_upstream"
                | "health_interval"
                | "health_passes"
                | "health_fails"
                | "health_timeout"
                | "health_method"
                | "health_status"
                | "health_body"
                | "health_headers"
                | "health_follow_redirects"
                | "health_request_body"
                | "fail_duration"
                | "max_fails"
                | "unhealthy_status"
                | "unhealthy_latency"
                | "unhealthy_request_count"
                | "flush_interval"
                | "stream_timeout"
                | "stream_close_delay"
                | "trusted_proxies"
                | "verbose_logs",
                _,
            ) => {}
            ("dynamic" | "handle_response" | "replace_status" | "method" | "transport", _) => {
                return Err(option.unsupported("put a proxy that has this in front"));
            }
            ("request_buffers" | "response_buffers", _) => {
                self.warn(option, "bodies are passed on as they come");
            }
            _ => return Err(option.unknown("reverse_proxy", KNOWN)),
        }
        Ok(())
    }

    fn transport(
        &mut self,
        proxy: &mut ReverseProxy,
        directive: &Directive,
    ) -> Result<(), CaddyfileError> {
        for option in directive.inner() {
            match (option.name.as_str(), option.words().as_slice()) {
                ("response_header_timeout", [time]) => {
                    proxy.patience = Some(duration(time, option)?);
                }
                ("tls", []) => {
                    for upstream in &mut proxy.upstreams {
                        let source = upstream.source().replacen("http://", "https://", 1);
                        *upstream = self.template(&source);
                    }
                }
                ("tls_insecure_skip_verify", _) => {
                    return Err(option.unsupported("ask by http:// in a network of your own"));
                }
                (
                    "dial_timeout"
                    | "read_timeout"
                    | "write_timeout"
                    | "keepalive"
                    | "keepalive_idle_conns"
                    | "keepalive_idle_conns_per_host"
                    | "keepalive_interval"
                    | "versions"
                    | "compression"
                    | "read_buffer"
                    | "write_buffer"
                    | "max_response_header"
                    | "dial_fallback_delay"
                    | "expect_continue_timeout"
                    | "max_conns_per_host",
                    _,
                ) => {}
                _ => return Err(option.unsupported("put a proxy that has this in front")),
            }
        }
        Ok(())
    }

    fn upstreams(
        &self,
        proxy: &mut ReverseProxy,
        directive: &Directive,
    ) -> Result<(), CaddyfileError> {
        for word in &directive.arguments {
            let upstream = self.upstream(word, directive)?;
            proxy.upstreams.push(upstream);
        }
        Ok(())
    }

    /// `app:8080`, `:8080`, `http://app`, `https://app:8443`.
    fn upstream(&self, text: &str, directive: &Directive) -> Result<Template, CaddyfileError> {
        let expected = "a server such as app:8080 or http://app";
        let fault = || directive.fault(Fault::value(text, expected));
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme @ ("http" | "https"), rest)) => (scheme, rest),
            Some(_) => return Err(fault()),
            None => ("http", text),
        };
        let rest = rest.trim_end_matches('/');
        if rest.is_empty() || rest.starts_with("unix") && rest.contains('/') {
            return Err(fault());
        }
        let host = if rest.starts_with(':') {
            "localhost"
        } else {
            ""
        };
        let url = format!("{scheme}://{host}{rest}");
        let template = self.template(&url);
        let is_url = |url: String| !url.contains(['{', '}', ' ']) && !rest.contains('/');
        match template.constant() {
            Some(url) if !is_url(url.clone()) => Err(fault()),
            _ => Ok(template),
        }
    }
}
