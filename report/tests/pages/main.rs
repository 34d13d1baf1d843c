//! Properties of whole pages.

mod browser;
#[path = "../../examples/sample/evaluation.rs"]
mod evaluation;
#[path = "../../examples/sample/maps.rs"]
mod maps;
#[path = "../../examples/sample/random.rs"]
mod random;

/// Both pages.
fn pages() -> [String; 2] {
    [maps::page().html().expect("a page"), evaluation::page().html()]
}

#[test]
fn same_data_gives_the_same_bytes() {
    assert_eq!(pages(), pages());
}

#[test]
fn hundred_maps_stay_below_20_megabytes() {
    let length = maps::many(10, 10).html().expect("a page").len();
    assert!(length < 20_000_000, "{length} bytes");
}

#[test]
fn pages_refer_to_nothing_outside() {
    for page in pages() {
        assert!(!page.contains("http://") && !page.contains("https://"));
        for attribute in [" src=\"", " href=\"", "url("] {
            for (start, _) in page.match_indices(attribute) {
                let rest = &page[start + attribute.len()..];
                let address: String = rest.chars().take(20).collect();
                assert!(address.starts_with("data:") || address.starts_with('#'), "{address}");
            }
        }
        assert!(!page.contains("@import") && page.contains("default-src 'none'"));
    }
}

#[test]
fn links_lead_to_elements_of_the_page() {
    for page in pages() {
        for (start, _) in page.match_indices(" href=\"#") {
            let target = page[start + 8..].split('"').next().expect("an end");
            assert!(page.contains(&format!("id=\"{target}\"")), "{target}");
        }
    }
}

#[test]
fn names_are_escaped() {
    let hostile = "<script>alert(1)</script>";
    let mut maps = maps::page();
    maps.title = hostile.into();
    maps.command = hostile.into();
    maps.inputs[0].name = hostile.into();
    maps.inputs[0].targets[0].title = hostile.into();
    maps.inputs[0].targets[0].maps[0].method = hostile.into();
    maps.inputs[0].targets[0].maps[0].notes = vec![hostile.into()];
    maps.inputs[0].targets[0].maps[0].files = hostile.into();
    let mut evaluation = evaluation::page();
    evaluation.metrics[0].name = hostile.into();
    evaluation.metrics[0].extremes[0].image = hostile.into();
    evaluation.metrics[0].curves.as_mut().expect("curves").lines[0].method = hostile.into();
    for page in [maps.html().expect("a page"), evaluation.html()] {
        assert!(!page.contains(hostile));
        assert_eq!(page.matches("<script").count(), 2, "the data and the script");
    }
}

#[test]
fn a_map_whose_size_is_wrong_is_an_error() {
    let mut page = maps::page();
    page.inputs[0].targets[0].maps[1].values.pop();
    let message = page.html().expect_err("an error").to_string();
    assert_eq!(message, "the map of smoothgrad has 50175 values, but its size is 224 x 224");
    let mut page = maps::page();
    let map = &mut page.inputs[0].targets[0].maps[1];
    (map.values, map.standard_error, map.height) = (Vec::new(), None, 0);
    assert!(page.html().expect_err("an error").to_string().contains("cannot be stored"));
}

#[test]
fn values_that_are_not_finite_are_noted() {
    let [page, _] = pages();
    assert!(page.contains("Values that are not finite, shown as 0: 1."));
}
