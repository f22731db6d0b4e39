//! Porter's stemmer (Porter 1980) with the extensions of NLTK's `PorterStemmer`, which ROUGE as Google's `rouge_score`
//! computes it is defined over. Words are lower-case ASCII letters and digits.

/// The stem of a word.
pub fn stem(word: &str) -> String {
    let irregular = match word {
        "skies" => "sky",
        "dying" => "die",
        "lying" => "lie",
        "tying" => "tie",
        "innings" => "inning",
        "outings" => "outing",
        "cannings" => "canning",
        "sky" | "news" | "inning" | "outing" | "canning" | "howe" | "proceed" | "exceed" | "succeed" => word,
        _ if word.len() <= 2 => word,
        _ => return regular(word),
    };
    irregular.to_owned()
}

fn regular(word: &str) -> String {
    let word = step_1a(word);
    let word = step_1b(&word);
    let word = step_1c(word);
    let word = step_2(word);
    let word = replace(word, &STEP_3, |stem| measure(stem) > 0);
    let word = step_4(word);
    let word = step_5a(word);
    match word.strip_suffix('l') {
        Some(shorter) if shorter.ends_with('l') && measure(shorter) > 1 => shorter.to_owned(),
        _ => word,
    }
}

fn step_1a(word: &str) -> String {
    if let Some(stem) = word.strip_suffix("ies") {
        return format!("{stem}{}", if word.len() == 4 { "ie" } else { "i" });
    }
    match word.strip_suffix('s') {
        Some(stem) if stem.ends_with("sse") => stem[..stem.len() - 1].to_owned(),
        Some(stem) if !stem.ends_with('s') => stem.to_owned(),
        _ => word.to_owned(),
    }
}

fn step_1b(word: &str) -> String {
    if let Some(stem) = word.strip_suffix("ied") {
        return format!("{stem}{}", if word.len() == 4 { "ie" } else { "i" });
    }
    if let Some(stem) = word.strip_suffix("eed") {
        return if measure(stem) > 0 { format!("{stem}ee") } else { word.to_owned() };
    }
    let cut = ["ed", "ing"].iter().find_map(|suffix| word.strip_suffix(suffix).filter(|stem| has_vowel(stem)));
    let Some(stem) = cut else { return word.to_owned() };
    if stem.ends_with("at") || stem.ends_with("bl") || stem.ends_with("iz") {
        return format!("{stem}e");
    }
    if ends_double(stem) {
        let last = stem.chars().last();
        return if matches!(last, Some('l' | 's' | 'z')) { stem } else { &stem[..stem.len() - 1] }.to_owned();
    }
    if measure(stem) == 1 && ends_cvc(stem) { format!("{stem}e") } else { stem.to_owned() }
}

fn step_1c(word: String) -> String {
    match word.strip_suffix('y') {
        Some(stem) if stem.len() > 1 && consonant(stem.as_bytes(), stem.len() - 1) => format!("{stem}i"),
        _ => word,
    }
}

const STEP_2: [(&str, &str); 21] = [
    ("ational", "ate"),
    ("tional", "tion"),
    ("enci", "ence"),
    ("anci", "ance"),
    ("izer", "ize"),
    ("bli", "ble"),
    ("alli", "al"),
    ("entli", "ent"),
    ("eli", "e"),
    ("ousli", "ous"),
    ("ization", "ize"),
    ("ation", "ate"),
    ("ator", "ate"),
    ("alism", "al"),
    ("iveness", "ive"),
    ("fulness", "ful"),
    ("ousness", "ous"),
    ("aliti", "al"),
    ("iviti", "ive"),
    ("biliti", "ble"),
    ("fulli", "ful"),
];

fn step_2(word: String) -> String {
    if let Some(stem) = word.strip_suffix("alli").filter(|stem| measure(stem) > 0) {
        return step_2(format!("{stem}al"));
    }
    if !STEP_2.iter().any(|(suffix, _)| word.ends_with(suffix))
        && let Some(stem) = word.strip_suffix("logi")
    {
        // The measure counts the l.
        return if measure(&word[..word.len() - 3]) > 0 { format!("{stem}log") } else { word };
    }
    replace(word, &STEP_2, |stem| measure(stem) > 0)
}

const STEP_3: [(&str, &str); 7] =
    [("icate", "ic"), ("ative", ""), ("alize", "al"), ("iciti", "ic"), ("ical", "ic"), ("ful", ""), ("ness", "")];

const STEP_4: [&str; 19] = [
    "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou", "ism", "ate", "iti",
    "ous", "ive", "ize",
];

fn step_4(word: String) -> String {
    let Some(suffix) = STEP_4.iter().find(|suffix| word.ends_with(**suffix)) else { return word };
    let stem = &word[..word.len() - suffix.len()];
    let fits = measure(stem) > 1 && (*suffix != "ion" || stem.ends_with(['s', 't']));
    if fits { stem.to_owned() } else { word }
}

fn step_5a(word: String) -> String {
    match word.strip_suffix('e') {
        Some(stem) if measure(stem) > 1 || (measure(stem) == 1 && !ends_cvc(stem)) => stem.to_owned(),
        _ => word,
    }
}

/// Replaces the first suffix of the list that the word has, if what stands before it fits.
fn replace(word: String, rules: &[(&str, &str)], fits: impl Fn(&str) -> bool) -> String {
    for (suffix, replacement) in rules {
        if let Some(stem) = word.strip_suffix(suffix) {
            return if fits(stem) { format!("{stem}{replacement}") } else { word };
        }
    }
    word
}

fn consonant(word: &[u8], i: usize) -> bool {
    match word[i] {
        b'a' | b'e' | b'i' | b'o' | b'u' => false,
        b'y' => i == 0 || !consonant(word, i - 1),
        _ => true,
    }
}

fn has_vowel(stem: &str) -> bool {
    (0..stem.len()).any(|i| !consonant(stem.as_bytes(), i))
}

/// How often a vowel is followed by a consonant: m in [C](VC)^m[V].
fn measure(stem: &str) -> usize {
    let word = stem.as_bytes();
    (1..word.len()).filter(|&i| !consonant(word, i - 1) && consonant(word, i)).count()
}

fn ends_double(word: &str) -> bool {
    let b = word.as_bytes();
    b.len() >= 2 && b[b.len() - 1] == b[b.len() - 2] && consonant(b, b.len() - 1)
}

fn ends_cvc(word: &str) -> bool {
    let b = word.as_bytes();
    let n = b.len();
    let long = n >= 3
        && consonant(b, n - 3)
        && !consonant(b, n - 2)
        && consonant(b, n - 1)
        && !matches!(b[n - 1], b'w' | b'x' | b'y');
    long || (n == 2 && !consonant(b, 0) && consonant(b, 1))
}
