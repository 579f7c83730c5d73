//! Framed messages with descriptors over a Unix stream socket: four bytes of length, then JSON.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The most descriptors one message carries: the three standard streams.
const MAX_DESCRIPTORS: usize = 3;
/// A specification larger than this is refused rather than allocated.
const MAX_MESSAGE_BYTES: usize = 64 * 1024 * 1024;

/// Sends one message; the descriptors travel with its first byte.
pub(crate) fn send<T: Serialize>(
    socket: &UnixStream,
    message: &T,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let body = serde_json::to_vec(message)?;
    let length = u32::try_from(body.len())
        .ok()
        .filter(|length| *length as usize <= MAX_MESSAGE_BYTES);
    let length = length
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "message too large"))?
        .to_le_bytes();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "too many descriptors",
        ));
    }
    let sent = retry(|| {
        sendmsg(
            socket,
            &[IoSlice::new(&length), IoSlice::new(&body)],
            &mut ancillary,
            SendFlags::NOSIGNAL,
        )
    })?;
    let mut stream = socket;
    stream.write_all(&length[sent.min(length.len())..])?;
    stream.write_all(&body[sent.saturating_sub(length.len())..])
}

/// Receives one message and its descriptors; `None` when the other side has closed.
pub(crate) fn receive<T: DeserializeOwned>(
    socket: &UnixStream,
) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut length = [0_u8; 4];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = retry(|| {
        recvmsg(
            socket,
            &mut [IoSliceMut::new(&mut length)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        )
    });
    let bytes = match received {
        Ok(message) if message.bytes == 0 => return Ok(None),
        Ok(message) => message.bytes,
        // The other side died with bytes unread: the same as closed.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
        Err(error) => return Err(error),
    };
    let descriptors = ancillary
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        })
        .flatten()
        .collect();
    let mut stream = socket;
    stream.read_exact(&mut length[bytes..])?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_MESSAGE_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "message too large",
        ));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(Some((serde_json::from_slice(&body)?, descriptors)))
}

/// The one descriptor that the other side sends without a frame, as libcontainer sends a terminal.
pub(crate) fn receive_descriptor(socket: impl AsFd) -> io::Result<Option<OwnedFd>> {
    let mut name = [0_u8; 64];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    retry(|| {
        recvmsg(
            socket.as_fd(),
            &mut [IoSliceMut::new(&mut name)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        )
    })?;
    let descriptor = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    Ok(descriptor)
}

fn retry<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(rustix::io::Errno::INTR) => {}
            result => return result.map_err(io::Error::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_and_its_descriptors_arrive() {
        let (left, right) = UnixStream::pair().unwrap();
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        send(&left, &vec!["a", "b"], &[writer.as_fd()]).unwrap();
        drop(writer);
        let (message, descriptors) = receive::<Vec<String>>(&right).unwrap().unwrap();
        assert_eq!(message, ["a", "b"]);
        rustix::io::write(&descriptors[0], b"x").unwrap();
        let mut byte = [0];
        assert_eq!(rustix::io::read(&reader, &mut byte).unwrap(), 1);
    }

    #[test]
    fn a_message_larger_than_the_socket_buffer_arrives() {
        let (left, right) = UnixStream::pair().unwrap();
        let text = "x".repeat(3_000_000);
        let sender = std::thread::spawn({
            let text = text.clone();
            move || send(&left, &text, &[]).unwrap()
        });
        assert_eq!(receive::<String>(&right).unwrap().unwrap().0, text);
        sender.join().unwrap();
        assert!(receive::<String>(&right).unwrap().is_none());
    }
}
