//! Which process holds a port, from /proc (proc(5): net/tcp, and the sockets among each process's descriptors).

use crate::model::Protocol;

/// `name (pid 123)`, when a process of this machine that we may look at listens on the port.
pub(crate) fn owner_of(port: u16, protocol: Protocol) -> Option<String> {
    let tables = match protocol {
        Protocol::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
        Protocol::Udp => ["/proc/net/udp", "/proc/net/udp6"],
    };
    let inode = tables
        .iter()
        .find_map(|table| listening_inode(&fs_err::read_to_string(table).ok()?, port, protocol))?;
    let socket = format!("socket:[{inode}]");
    for process in fs_err::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = process
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        let Ok(descriptors) = fs_err::read_dir(process.path().join("fd")) else {
            continue;
        };
        let holds = descriptors.flatten().any(|descriptor| {
            fs_err::read_link(descriptor.path())
                .is_ok_and(|target| target.as_os_str() == socket.as_str())
        });
        if holds {
            let name = fs_err::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("{} (pid {pid})", name.trim()));
        }
    }
    None
}

/// The inode of the socket bound to a port; for TCP only one that listens (state 0A).
fn listening_inode(table: &str, port: u16, protocol: Protocol) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, local_port) = fields.get(1)?.rsplit_once(':')?;
        let listens = protocol == Protocol::Udp || *fields.get(3)? == "0A";
        let matches = listens && u16::from_str_radix(local_port, 16).ok()? == port;
        matches.then(|| fields.get(9)?.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_listener_and_not_a_connection() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
               0: 0100007F:1F90 0100007F:C001 01 00000000:00000000 00:00000000 00000000     0        0 111 1\n\
               1: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 222 1\n";
        assert_eq!(listening_inode(table, 8080, Protocol::Tcp), Some(222));
        assert_eq!(listening_inode(table, 81, Protocol::Tcp), None);
    }

    #[test]
    fn finds_this_process() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let owner = owner_of(port, Protocol::Tcp).unwrap();
        assert!(
            owner.ends_with(&format!("(pid {})", std::process::id())),
            "{owner}"
        );
    }
}
