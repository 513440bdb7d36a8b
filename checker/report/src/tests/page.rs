//! The page: what it loads (nothing), what it shows, how large it is.

use crate::html;
use crate::sample;

/// Every tag of a page, with its attributes.
fn tags(page: &str) -> Vec<&str> {
    page.split('<').skip(1).filter_map(|part| part.split_once('>').map(|(tag, _)| tag)).collect()
}

#[test]
fn a_page_loads_nothing() {
    for input in [sample::invalid(), sample::valid(), sample::unknown(), sample::cycle(), sample::large()] {
        let page = html(&input);
        assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("url(//"));
        let loads = |tag: &&str| {
            ["src=", "srcset=", "@import"].iter().any(|word| tag.contains(word))
                || ["link", "img", "iframe", "object", "embed", "image"]
                    .iter()
                    .any(|name| tag.split_whitespace().next() == Some(name))
        };
        let found: Vec<&str> = tags(&page).into_iter().filter(loads).collect();
        assert!(found.is_empty(), "{found:?}");
    }
}

#[test]
fn hostile_text_stays_text_on_the_page() {
    let page = html(&sample::hostile());
    assert!(page.contains("&lt;/script&gt;&lt;script&gt;alert(1)"));
    assert_eq!(page.matches("<script").count(), 1, "the page's own");
    assert_eq!(page.chars().find(|c| *c != '\n' && crate::words::is_hostile(*c)), None);
}

#[test]
fn every_section_is_there_in_order() {
    let page = html(&sample::invalid());
    let sections = [
        "<header",
        "Properties</h2>",
        "Was anything tested?",
        "Over time</h2>",
        "Findings</h2>",
        "Nodes</h2>",
        "Reproduce",
    ];
    let places: Vec<Option<usize>> = sections.iter().map(|section| page.find(section)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?}");
}

#[test]
fn a_large_run_makes_a_page_of_a_few_megabytes_and_says_what_it_left_out() {
    let page = html(&sample::large());
    assert!(page.len() < 3_000_000, "{} bytes", page.len());
    assert!(page.contains("of 60 000 completed operations are drawn"));
    // For the eye: FISSURE_PAGES=FOLDER keeps the pages of all samples.
    if let Some(folder) = std::env::var_os("FISSURE_PAGES") {
        for (name, input) in [
            ("large", sample::large()),
            ("invalid", sample::invalid()),
            ("cycle", sample::cycle()),
            ("unknown", sample::unknown()),
        ] {
            std::fs::write(std::path::Path::new(&folder).join(format!("{name}.html")), html(&input))
                .expect("the folder is there");
        }
    }
}
