//! The date of a suite: what its archive's signed `Release` files say.

use std::path::Path;
use std::process::{Command, Stdio};

use jiff::fmt::rfc2822;

use super::{BootstrapError, io_error};

/// When the archive last changed one of the suites in the file `sources`, in seconds since 1970. apt(8) fetches the `Release`
/// files into `directory`, and checks their signatures.
pub(super) fn date(sources: &Path, directory: &Path) -> Result<i64, BootstrapError> {
    let lists = directory.join("lists");
    let partial = lists.join("partial");
    fs_err::create_dir_all(&partial).map_err(io_error("make the directory", &partial))?;
    let set = |name: &str, value: &Path| format!("{name}={}", value.display());
    let mut command = Command::new("apt-get");
    command.args(["update", "--quiet", "--quiet"]);
    for option in [
        set("Dir::Etc::SourceList", sources),
        set("Dir::Etc::SourceParts", Path::new("/dev/null")),
        set("Dir::State::Lists", &lists),
        set("Dir::Cache", &directory.join("cache")),
        // The lists are only readable to us.
        "APT::Sandbox::User=".to_owned(),
        "Acquire::Languages=none".to_owned(),
    ] {
        command.args(["-o", &option]);
    }
    for unwanted in ["Packages", "DEP-11", "Contents-deb"] {
        let option = format!("Acquire::IndexTargets::deb::{unwanted}::DefaultEnabled=false");
        command.args(["-o", &option]);
    }
    let output = command
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .output()
        .map_err(io_error("run", Path::new("apt-get")))?;
    if !output.status.success() {
        return Err(BootstrapError::Apt {
            status: output.status,
            told: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        });
    }
    let mut latest = None;
    for entry in fs_err::read_dir(&lists).map_err(io_error("read", &lists))? {
        let path = entry.map_err(io_error("read", &lists))?.path();
        if path.to_string_lossy().ends_with("Release") {
            let text = fs_err::read_to_string(&path).map_err(io_error("read", &path))?;
            latest = latest.max(date_in(&text));
        }
    }
    latest.ok_or(BootstrapError::NoDate)
}

/// The field `Date` of a `Release` file (deb-src(5), "Date, Valid-Until").
fn date_in(text: &str) -> Option<i64> {
    let date = text.lines().find_map(|line| line.strip_prefix("Date: "))?;
    let date = date.trim_end().replace("UTC", "+0000");
    rfc2822::parse(&date)
        .ok()
        .map(|date| date.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_a_release_file_is_read() {
        let text = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nOrigin: Debian\nDate: Sat, 11 Jul 2026 10:16:37 UTC\n";
        assert_eq!(date_in(text), Some(1_783_764_997));
        assert_eq!(date_in("Date: today\n"), None);
        assert_eq!(date_in(""), None);
    }
}
