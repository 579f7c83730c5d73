//! What C calls of Rust (`shim/shim.h` says what each means). They do input and output and never call PHP, so nothing
//! can jump over their frames; a panic in one ends the process, as any panic across `extern "C"` does.

use std::ffi::{c_char, c_void};

use crate::link::Link;
use crate::shim::{Request, Text};

/// # Safety
/// `link` must be what `shim::start` was given, and no other reference to it may be in use: C calls one callback at a time, and Rust
/// holds none while it is in C.
unsafe fn borrow<'a>(link: *mut c_void) -> &'a mut Link {
    // SAFETY: the caller's promise; the link lives for ever.
    unsafe { &mut *link.cast() }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn howdah_next(
    link: *mut c_void,
    memory: usize,
    peak: usize,
    request: *mut *const Request,
) -> bool {
    // SAFETY: called by C only, with its link.
    let link = unsafe { borrow(link) };
    let Some(next) = link.next(memory, peak) else {
        return false;
    };
    // SAFETY: C gives a place on its stack.
    unsafe { *request = next };
    true
}

#[unsafe(no_mangle)]
unsafe extern "C" fn howdah_request_over(link: *mut c_void, memory: usize, peak: usize) {
    // SAFETY: called by C only, with its link.
    unsafe { borrow(link) }.request_over(memory, peak);
}

#[unsafe(no_mangle)]
unsafe extern "C" fn howdah_read_body(
    link: *mut c_void,
    buffer: *mut c_char,
    length: usize,
) -> usize {
    // SAFETY: called by C only, with its link.
    let link = unsafe { borrow(link) };
    // SAFETY: C gives `length` bytes of its own, which it does not read before we return.
    let buffer = unsafe { std::slice::from_raw_parts_mut(buffer.cast(), length) };
    link.read_body(buffer)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn howdah_write(link: *mut c_void, data: *const c_char, length: usize) -> bool {
    // SAFETY: called by C only, with its link.
    let link = unsafe { borrow(link) };
    // SAFETY: C gives `length` bytes that live until we return.
    let data = unsafe { std::slice::from_raw_parts(data.cast(), length) };
    link.write(data)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn howdah_flush(link: *mut c_void) -> bool {
    // SAFETY: called by C only, with its link.
    unsafe { borrow(link) }.flush()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn howdah_head(
    link: *mut c_void,
    interim: bool,
    status: u16,
    lines: *const Text,
    count: usize,
) -> bool {
    // SAFETY: called by C only, with its link.
    let link = unsafe { borrow(link) };
    let lines = if count == 0 {
        &[]
    } else {
        // SAFETY: C gives `count` texts that live until we return.
        unsafe { std::slice::from_raw_parts(lines, count) }
    };
    // SAFETY: so do the bytes they point to.
    let lines = lines.iter().map(|line| unsafe { line.bytes() });
    link.head(interim, status, lines)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn howdah_finish(link: *mut c_void) -> bool {
    // SAFETY: called by C only, with its link.
    unsafe { borrow(link) }.finish()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn howdah_log(link: *mut c_void, level: i64, message: Text, context: Text) {
    if link.is_null() {
        return;
    }
    // SAFETY: called by C only, with its link.
    let link = unsafe { borrow(link) };
    // SAFETY: C gives bytes that live until we return.
    let message = unsafe { message.bytes() };
    // SAFETY: the same.
    let context = unsafe { context.bytes() };
    link.log(level, message, context);
}

#[unsafe(no_mangle)]
unsafe extern "C" fn howdah_reload(link: *mut c_void) {
    // SAFETY: called by C only, with its link.
    unsafe { borrow(link) }.reload();
}
