//! What Rust calls of the C shim (`shim/shim.h`), and the types of the seam.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::process::ExitCode;

use howdah_wire::RequestView;

use crate::boot;
use crate::link::Link;

/// Bytes that C reads; in a request a NUL follows them.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text {
    data: *const c_char,
    length: usize,
}

/// A name and its value.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair {
    name: Text,
    value: Text,
}

/// A request as C reads it. It points into a payload and into `Pair`s that [`Prepared`] keeps.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Request {
    script: Text,
    method: Text,
    uri: Text,
    query: Text,
    content_length: i64,
    variables: *const Pair,
    variable_count: usize,
    headers: *const Pair,
    header_count: usize,
}

#[repr(C)]
struct Start {
    link: *mut c_void,
    name: *const c_char,
    ini_path: *const c_char,
    ini_entries: *const c_char,
}

unsafe extern "C" {
    fn howdah_php_start(start: *const Start) -> c_int;
    fn howdah_php_version() -> *const c_char;
    fn howdah_is_own_library() -> bool;
    fn howdah_php_after_fork(descriptor: c_int);
    fn howdah_classic(request: *const Request);
    fn howdah_worker(boot: *const Request, once: bool) -> c_int;
    fn howdah_once_prepare();
    fn howdah_huge_pages_shared();
    fn howdah_memory(now: *mut usize, peak: *mut usize);
    fn howdah_cli(argc: c_int, argv: *mut *mut c_char) -> c_int;
    fn howdah_backtrace();
    fn howdah_map_ledger(descriptor: c_int) -> *mut u64;
}

/// A request whose parts lie where C finds them.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// Of a `Request` frame; all that follows points into it, so it is never changed.
    _payload: Vec<u8>,
    _variables: Vec<Pair>,
    _headers: Vec<Pair>,
    request: Request,
}

impl Text {
    fn of(bytes: &[u8]) -> Text {
        Text {
            data: bytes.as_ptr().cast(),
            length: bytes.len(),
        }
    }

    /// # Safety
    /// It must point to `length` bytes that live and do not change for `'a`, or have no length.
    pub(crate) unsafe fn bytes<'a>(self) -> &'a [u8] {
        if self.length == 0 {
            return &[];
        }
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts(self.data.cast(), self.length) }
    }
}

impl Prepared {
    /// Of the payload of a `Request` frame.
    pub(crate) fn new(payload: Vec<u8>) -> Result<Prepared, howdah_wire::FrameError> {
        let view = RequestView::decode(&payload)?;
        let pairs = |pairs: &[(&[u8], &[u8])]| -> Vec<Pair> {
            let pair = |(name, value): &(&[u8], &[u8])| Pair {
                name: Text::of(name),
                value: Text::of(value),
            };
            pairs.iter().map(pair).collect()
        };
        let (variables, headers) = (pairs(&view.variables), pairs(&view.headers));
        let request = Request {
            script: Text::of(view.script),
            method: Text::of(view.method),
            uri: Text::of(view.uri),
            query: Text::of(view.query),
            content_length: view
                .content_length
                .and_then(|length| i64::try_from(length).ok())
                .unwrap_or(-1),
            variables: variables.as_ptr(),
            variable_count: variables.len(),
            headers: headers.as_ptr(),
            header_count: headers.len(),
        };
        Ok(Prepared {
            _payload: payload,
            _variables: variables,
            _headers: headers,
            request,
        })
    }

    pub(crate) fn as_ptr(&self) -> *const Request {
        &raw const self.request
    }
}

/// PHP did not start.
#[derive(Debug)]
pub(crate) struct NotStarted;

/// Starts PHP, once, before any other call but [`version`]. What it gets is never freed: PHP refers to it to the end.
pub(crate) fn start(
    link: *mut Link,
    name: &'static CStr,
    ini_path: Option<&CStr>,
    ini_entries: &[u8],
) -> Result<(), NotStarted> {
    let path = ini_path.map_or(std::ptr::null(), |path| {
        path.to_owned().into_raw().cast_const()
    });
    let entries = CString::new(ini_entries).map_err(|_| NotStarted)?;
    let start = Start {
        link: link.cast(),
        name: name.as_ptr(),
        ini_path: path,
        ini_entries: entries.into_raw(),
    };
    // SAFETY: the strings live for ever; `link` is one of `Link::new`, which lives for ever.
    match unsafe { howdah_php_start(&raw const start) } {
        0 => Ok(()),
        _ => Err(NotStarted),
    }
}

/// `PHP_VERSION` of the headers.
pub(crate) fn version() -> String {
    // SAFETY: it touches nothing.
    let version = unsafe { howdah_php_version() };
    // SAFETY: it is a literal.
    let version = unsafe { CStr::from_ptr(version) };
    version.to_string_lossy().into_owned()
}

/// Whether the library that was loaded is of the PHP that this program was compiled for. Nothing else may be called if not.
pub(crate) fn is_own_library() -> bool {
    // SAFETY: it compares two texts.
    unsafe { howdah_is_own_library() }
}

/// To be called when the script asks for a request, before processes are forked that serve one each: they then copy less memory.
pub(crate) fn prepare_once() {
    // SAFETY: PHP is started, and its one thread is between two requests.
    unsafe { howdah_once_prepare() }
}

/// Makes huge pages of the shared memory that is in use by now.
pub(crate) fn use_huge_pages() {
    // SAFETY: PHP is started; nothing of what is in the memory changes.
    unsafe { howdah_huge_pages_shared() }
}

/// To be called in a forked worker: it writes backtraces to `descriptor`, and its random numbers are its own.
pub(crate) fn after_fork(descriptor: c_int) {
    // SAFETY: PHP is started; the descriptor stays open as long as the process.
    unsafe { howdah_php_after_fork(descriptor) }
}

/// Writes a backtrace to the worker's socket.
pub(crate) fn backtrace() {
    // SAFETY: PHP is started, and the one thread of the process writes no frame now.
    unsafe { howdah_backtrace() }
}

/// The memory of a ledger, mapped for as long as the process lives.
pub(crate) fn map_ledger(descriptor: c_int) -> std::io::Result<*mut u64> {
    // SAFETY: it only maps the file.
    let place = unsafe { howdah_map_ledger(descriptor) };
    if place.is_null() {
        return Err(std::io::Error::last_os_error());
    }
    Ok(place)
}

/// Serves one request in a cycle of its own; false when there are no more.
pub(crate) fn classic(link: *mut Link) -> bool {
    let (mut now, mut peak) = (0, 0);
    // SAFETY: PHP is started; both places are writable.
    unsafe { howdah_memory(&raw mut now, &raw mut peak) };
    // SAFETY: no callback runs, so the reference is the only one, and it ends here.
    let Some(request) = (unsafe { (*link).next(now, peak) }) else {
        return false;
    };
    // SAFETY: `next` keeps the request alive until it is called again; no reference to the link is held.
    unsafe { howdah_classic(request) };
    true
}

/// Runs the worker script to its end; its exit status. `once`: the process serves one request.
pub(crate) fn worker(script: &CStr, once: bool) -> i32 {
    let mut payload = Vec::new();
    boot::request(&script.to_string_lossy()).encode(&mut payload);
    match Prepared::new(payload) {
        // SAFETY: the request lives until the script has ended; no reference to the link is held.
        Ok(request) => unsafe { howdah_worker(request.as_ptr(), once) },
        Err(_) => 255,
    }
}

/// The PHP command line; the first argument is the program.
pub(crate) fn cli(arguments: Vec<CString>) -> ExitCode {
    let count = c_int::try_from(arguments.len()).unwrap_or(c_int::MAX);
    let mut pointers: Vec<_> = arguments.into_iter().map(CString::into_raw).collect();
    pointers.push(std::ptr::null_mut());
    // SAFETY: a vector as main() gets it, never freed.
    let status = unsafe { howdah_cli(count, pointers.as_mut_ptr()) };
    ExitCode::from(u8::try_from(status & 0xff).unwrap_or(255))
}
