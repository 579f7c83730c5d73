//! Where the frames of a WebSocket begin (RFC 6455 section 5.2), seen from beside the stream of bytes.

/// Follows one direction of a connection.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// The beginning of a frame whose length is not known yet.
    head: Vec<u8>,
    /// Bytes of the current frame that have not come.
    left: u64,
    is_closed: bool,
}

/// Of a frame: tells the other end that no more comes.
const CLOSE: u8 = 8;

impl Frames {
    /// Takes notice of the next bytes.
    pub(super) fn see(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.is_closed {
            if self.left > 0 {
                let length = usize::try_from(self.left).unwrap_or(usize::MAX);
                let length = length.min(bytes.len());
                self.left -= length as u64;
                bytes = &bytes[length..];
                continue;
            }
            self.head.push(bytes[0]);
            bytes = &bytes[1..];
            if let Some(length) = payload(&self.head) {
                self.is_closed = self.head[0] & 0x0f == CLOSE;
                self.left = length;
                self.head.clear();
            }
        }
    }

    /// Could another frame begin here?
    pub(super) fn is_between(&self) -> bool {
        self.left == 0 && self.head.is_empty() && !self.is_closed
    }
}

/// The bytes that follow a whole head, with the mask; none as long as it is not whole.
fn payload(head: &[u8]) -> Option<u64> {
    let short = head.get(1)? & 0x7f;
    let (length, size) = match short {
        126 => (
            u64::from(u16::from_be_bytes(head.get(2..4)?.try_into().ok()?)),
            4,
        ),
        127 => (u64::from_be_bytes(head.get(2..10)?.try_into().ok()?), 10),
        short => (u64::from(short), 2),
    };
    let mask = if head[1] & 0x80 == 0 { 0 } else { 4 };
    (head.len() == size).then(|| length.saturating_add(mask))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After each byte: could a frame begin?
    fn places(bytes: &[u8]) -> String {
        let mut frames = Frames::default();
        let see = |byte: &u8| {
            frames.see(&[*byte]);
            if frames.is_between() { '|' } else { '.' }
        };
        bytes.iter().map(see).collect()
    }

    #[test]
    fn frames_end_where_their_length_says() {
        assert_eq!(places(&[0x81, 0, 0x81, 1, b'a']), ".|..|");
        assert_eq!(
            places(&[0x81, 0x82, 1, 2, 3, 4, b'a', b'b', 0x8a, 0]),
            ".......|.|"
        );
        let mut long = vec![0x82, 126, 1, 0];
        long.extend([7; 256]);
        assert_eq!(places(&long).find('|'), Some(259));
        let mut longest = vec![0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0];
        longest.extend(vec![7; 65536]);
        assert_eq!(places(&longest).find('|'), Some(65545));
        let mut at_once = Frames::default();
        at_once.see(&longest);
        assert!(at_once.is_between());
    }

    #[test]
    fn nothing_follows_a_close() {
        assert_eq!(places(&[0x88, 2, 3, 0xe8, 0x81, 0]), "......");
    }
}
