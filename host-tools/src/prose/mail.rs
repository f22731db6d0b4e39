//! Mails: the subject and the text, without headers, quoted replies and signatures.

use super::{html, plain};
use mail_parser::mailbox::mbox::MessageIterator;
use mail_parser::{Message, MessageParser, PartType};
use regex_lite::Regex;
use std::sync::LazyLock;

/// The prose of one mail or of several in the format mbox, without a line end at its end.
pub fn prose(bytes: &[u8]) -> String {
    if !bytes.starts_with(b"From ") {
        return one(bytes);
    }
    let mails = MessageIterator::new(bytes).map_while(Result::ok).map(|mail| one(mail.contents()));
    mails.filter(|mail| !mail.is_empty()).collect::<Vec<_>>().join("\n\n")
}

fn one(bytes: &[u8]) -> String {
    let message = match begins_with_headers(&String::from_utf8_lossy(bytes)) {
        true => MessageParser::default().parse(bytes),
        false => None,
    };
    match message {
        Some(message) => [subject(&message), body(&message)].into_iter().flatten().collect::<Vec<_>>().join("\n\n"),
        // A mail that was copied without its headers.
        None => plain::prose(&own_words(&String::from_utf8_lossy(bytes))),
    }
}

/// The subject without what replies and forwards put before it.
fn subject(message: &Message<'_>) -> Option<String> {
    static BEFORE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^(?i:\s*(?:re|fwd?|aw|wg|sv)(?:\[\d+\])?\s*:\s*)+").expect("a regular expression")
    });
    let subject = plain::prose(&BEFORE.replace(message.subject()?, ""));
    (!subject.is_empty()).then_some(subject)
}

fn body(message: &Message<'_>) -> Option<String> {
    let texts = message.text_bodies().filter_map(|part| match &part.body {
        PartType::Text(text) => Some(plain::prose(&own_words(text))),
        PartType::Html(page) => Some(html::prose(page)),
        _ => None,
    });
    let text = texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n\n");
    (!text.is_empty()).then_some(text)
}

/// Headers that mails have; two of them at the start of a text are no accident.
const HEADERS: [&str; 18] = [
    "from",
    "to",
    "cc",
    "bcc",
    "subject",
    "date",
    "sent",
    "reply-to",
    "received",
    "return-path",
    "message-id",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "delivered-to",
    "in-reply-to",
    "references",
    "sender",
];

/// Whether a text begins with the headers of a mail.
pub fn begins_with_headers(text: &str) -> bool {
    let mut known = 0;
    for line in text.lines() {
        if line.starts_with([' ', '\t']) && known > 0 {
            continue;
        }
        let Some((name, _)) = line.split_once(':') else { break };
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_graphic()) {
            break;
        }
        known += usize::from(HEADERS.contains(&&*name.to_ascii_lowercase()));
    }
    known >= 2
}

/// Where a reply says whom it quotes, in one line or two.
static WROTE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\s*(?:On\b.*\d.*|.*<\S+@\S+>.*|.*\d{4}.*)\b(?:wrote|writes|said)\s*:\s*$")
        .expect("a regular expression")
});
/// What follows is another mail, or of the list that sent it.
static OTHERS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?i)^\s*(?:-{3,}\s*(?:original message|forwarded message)\s*-{3,}|begin forwarded message:|_{20,})\s*$",
    )
    .expect("a regular expression")
});
/// What telephones add.
static SENT_FROM: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(?:Sent from my|Get Outlook for) .{1,40}$").expect("a regular expression"));

/// Whether a text has marks of a mail: a signature, or a quoted reply.
pub fn has_marks(text: &str) -> bool {
    let lines: Vec<&str> = text.lines().collect();
    let quoted = |at: usize| lines.iter().skip(at + 1).take(3).any(|line| line.starts_with('>'));
    lines.iter().enumerate().any(|(at, line)| is_signature(line) && at > 0 || wrote(&lines, at) > 0 && quoted(at))
}

fn is_signature(line: &str) -> bool {
    line == "-- "
}

/// How many lines from `at` on say whom the mail quotes.
fn wrote(lines: &[&str], at: usize) -> usize {
    let line = lines.get(at).copied().unwrap_or_default();
    if WROTE.is_match(line) {
        return 1;
    }
    let next = lines.get(at + 1).copied().unwrap_or_default();
    if line.starts_with("On ") && !line.ends_with(['.', ':']) && WROTE.is_match(&format!("{line} {next}")) {
        2
    } else {
        0
    }
}

/// What the writer of a mail wrote. Of one that only forwards, what it forwards.
fn own_words(text: &str) -> String {
    let lines: Vec<&str> = plain::lines(text).collect();
    let end = lines.iter().position(|line| is_signature(line) || *line == "--").unwrap_or(lines.len());
    let before_others = lines.iter().position(|line| OTHERS.is_match(line)).unwrap_or(end).min(end);
    let mut own = Vec::new();
    let mut at = 0;
    while at < before_others {
        let skip = wrote(&lines, at);
        let line = lines[at];
        if skip == 0 && !line.starts_with('>') && !SENT_FROM.is_match(line.trim()) {
            own.push(line);
        }
        at += skip.max(1);
    }
    if own.iter().any(|line| line.contains(char::is_alphanumeric)) {
        return own.join("\n");
    }
    let unquoted = |line: &&str| line.trim_start_matches(['>', ' ']).to_owned();
    let forwarded = lines[..end].iter().filter(|line| !OTHERS.is_match(line)).map(unquoted).collect::<Vec<_>>();
    // Its headers are in its text.
    let headers = match forwarded.iter().position(|line| !line.trim().is_empty()) {
        Some(first) if begins_with_headers(&forwarded[first..].join("\n")) => {
            first + forwarded[first..].iter().position(|line| line.trim().is_empty()).unwrap_or(0)
        }
        _ => 0,
    };
    forwarded[headers..].join("\n")
}

#[cfg(test)]
mod tests {
    use crate::prose::tests::read;

    const MAIL: &str = "Received: from mx.example.org (mx [192.0.2.1])\n\tby in.example.org; Mon, 6 May 2024 09:12:01 +0200\n\
From: =?utf-8?q?J=C3=B6rg?= <joerg@example.org>\nTo: team@example.org\n\
Subject: Re: Fwd: =?utf-8?B?UmV2aWV3IG1vdmVkIHRvIFRodXJzZGF5?=\nMIME-Version: 1.0\n\
Content-Type: multipart/alternative; boundary=\"b\"\n\n--b\nContent-Type: text/plain; charset=utf-8\n\
Content-Transfer-Encoding: quoted-printable\n\nHi team,\n\nthe quarterly review moves from Tuesday to Thursday at ten, because the =\n\
large room is taken. J=C3=B6rg will send the slides.\n\n\
On Mon, May 6, 2024 at 8:01 AM Anna Berg <anna@example.org>\nwrote:\n\n> Is the room free?\n> > No idea.\n\nSee you there!\n\n-- \n\
J=C3=B6rg\nExample Ltd, Main Street 1\n--b\nContent-Type: text/html\n\n<p>Hi <b>team</b></p>\n--b--\n";

    const READS: &str = "Review moved to Thursday\n\nHi team,\n\nthe quarterly review moves from Tuesday to Thursday at ten, because the \
        large room is taken. Jörg will send the slides.\n\nSee you there!";

    #[test]
    fn a_mail_becomes_its_subject_and_text() {
        assert_eq!(read("review.eml", MAIL.as_bytes()).unwrap(), READS);
        assert_eq!(read("review", MAIL.replace('\n', "\r\n").as_bytes()).unwrap(), READS);
        let mbox = format!("From joerg@example.org Mon May  6 09:12:01 2024\n{MAIL}\n");
        assert_eq!(read("review.mbox", [&*mbox, &*mbox].concat().as_bytes()).unwrap(), [READS, READS].join("\n\n"));
    }

    #[test]
    fn mails_in_html_and_base64_are_read() {
        let mail = "Subject: Parcel\nFrom: shop@example.org\nContent-Type: text/html; charset=iso-8859-1\n\
            Content-Transfer-Encoding: base64\n\nPGh0bWw+PGJvZHk+PHA+WW91ciBwYXJjZWwg\nZm9yIEv2bG4gYXJyaXZlcyA8Yj50b2RheTwvYj4uPC9wPjwvYm9keT48L2h0bWw+\n";
        assert_eq!(read("parcel.eml", mail.as_bytes()).unwrap(), "Parcel\n\nYour parcel for Köln arrives today.");
    }

    #[test]
    fn a_mail_that_was_copied_without_headers_is_one() {
        let mail = "Thanks, that works for me.\n\nOn Tue, 7 May 2024, Anna wrote:\n> Does Friday work?\n\n-- \nBen\n";
        assert_eq!(read("note.txt", mail.as_bytes()).unwrap(), "Thanks, that works for me.");
        let mail = "From: Anna\nSent: Monday\nTo: All\nSubject: Cake\n\nThere is cake in the kitchen.\n\n-----Original Message-----\nFrom: Ben\n";
        assert_eq!(read("note", mail.as_bytes()).unwrap(), "Cake\n\nThere is cake in the kitchen.");
    }

    #[test]
    fn of_a_forward_the_forwarded_is_read() {
        let mail = "From: a@example.org\nSubject: Fwd: Rent\n\n---------- Forwarded message ---------\nFrom: b@example.org\n\
            Date: Mon, 6 May 2024\n\nThe rent rises in June.\n";
        assert_eq!(read("rent.eml", mail.as_bytes()).unwrap(), "Rent\n\nThe rent rises in June.");
    }

    #[test]
    fn other_texts_are_no_mails() {
        for text in ["Note: this is no mail.\nTo: be or not to be.", "a -- b\n--\nc", "He wrote:\n\nthe end"] {
            assert!(!super::has_marks(text), "{text:?}");
        }
        assert!(!super::begins_with_headers("Note: this is no mail.\nWarning: neither.\n\nTo: x\nFrom: y\n"));
    }
}
