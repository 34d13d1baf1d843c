//! A made-up page of maps.

use attriburn_report::{EncodedPicture, InputMaps, Map, MapsPage, Palette, TargetMaps};

use crate::random::Random;

fn mix(a: [f32; 3], b: [f32; 3], share: f32) -> [u8; 3] {
    std::array::from_fn(|c| (a[c] + (b[c] - a[c]) * share).round() as u8)
}

/// Returns a simple palette: blue, white and red; black to yellow.
pub fn palette() -> Palette {
    let (blue, white, red) = ([5.0, 68.0, 138.0], [247.0; 3], [152.0, 16.0, 32.0]);
    let (dark, purple, yellow) = ([4.0, 4.0, 20.0], [160.0, 45.0, 110.0], [252.0, 240.0, 150.0]);
    Palette {
        signed: std::array::from_fn(|i| match i as f32 / 127.0 {
            share if share < 1.0 => mix(blue, white, share),
            share => mix(white, red, share - 1.0),
        }),
        unsigned: std::array::from_fn(|i| match i as f32 / 127.0 {
            share if share < 1.0 => mix(dark, purple, share),
            share => mix(purple, yellow, share - 1.0),
        }),
    }
}

/// Returns a made-up picture: discs of random colours, with some texture.
pub fn picture(size: usize, seed: u64) -> EncodedPicture {
    let mut random = Random(seed);
    let discs: Vec<[f32; 6]> = (0..8).map(|_| std::array::from_fn(|_| random.uniform())).collect();
    let mut pixels = Vec::with_capacity(size * size * 3);
    for row in 0..size {
        for column in 0..size {
            let (y, x) = (row as f32 / size as f32, column as f32 / size as f32);
            let mut colour = [0.35 + 0.4 * y, 0.5 + 0.2 * x, 0.6 - 0.3 * y];
            for [cx, cy, radius, r, g, b] in &discs {
                if (x - cx).hypot(y - cy) < 0.05 + radius * 0.2 {
                    colour = [*r, *g, *b];
                }
            }
            let texture = 0.06 * random.normal();
            pixels.extend(colour.map(|c| ((c + texture).clamp(0.0, 1.0) * 255.0) as u8));
        }
    }
    encode(&pixels, size)
}

/// Encodes square RGB pixels as a PNG.
pub fn encode(pixels: &[u8], size: usize) -> EncodedPicture {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, size as u32, size as u32);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().expect("a header");
    writer.write_image_data(pixels).expect("pixels");
    writer.finish().expect("an end");
    EncodedPicture { media_type: "image/png", bytes, width: size, height: size }
}

/// Returns a made-up map: a bright spot in noise.
pub fn map(
    method: &str,
    is_signed: bool,
    [height, width]: [usize; 2],
    noise: f32,
    seed: u64,
) -> Map {
    let mut random = Random(seed);
    let (cx, cy) = (0.3 + 0.4 * random.uniform(), 0.3 + 0.4 * random.uniform());
    let value = |i: usize| {
        let (y, x) = ((i / width) as f32 / height as f32, (i % width) as f32 / width as f32);
        let spot = (-((x - cx).powi(2) + (y - cy).powi(2)) / 0.03).exp();
        let value = (spot * (18.0 * x).sin() * 2.0 + noise * random.normal()) * 0.013;
        if is_signed { value } else { value.abs() }
    };
    let values: Vec<f32> = (0..height * width).map(value).collect();
    let error = |_: &f32| 0.004 * noise * (0.5 + random.uniform());
    let standard_error = (noise < 1.0).then(|| values.iter().map(error).collect());
    let mut magnitudes: Vec<f32> = values.iter().map(|value| value.abs()).collect();
    magnitudes.sort_by(f32::total_cmp);
    Map {
        method: method.into(),
        unit: if is_signed { "gradient" } else { "square" }.into(),
        is_signed,
        height,
        width,
        clip: magnitudes[magnitudes.len() * 99 / 100],
        values,
        standard_error,
        palette: palette(),
        facts: vec![("samples".into(), "50".into()), ("time".into(), "1.84 s".into())],
        notes: Vec::new(),
        files: format!("attriburn-out/cat/{method}"),
    }
}

/// Returns a page that shows everything a page can show.
pub fn page() -> MapsPage {
    let size = [224, 224];
    let mut noisy = map("gradient", true, size, 1.0, 3);
    noisy.notes = vec![
        "Mostly noise: relative standard error 1.4; 300 samples would bring it to 0.5.".into(),
    ];
    noisy.values[5] = f32::NAN;
    let cat = InputMaps {
        name: "cat.jpg".into(),
        picture: Some(picture(448, 1)),
        targets: vec![
            TargetMaps {
                title: "tabby, class 281 (93.1 %)".into(),
                maps: vec![
                    noisy,
                    map("smoothgrad", true, size, 0.3, 4),
                    map("adaptgrad", true, size, 0.1, 4),
                    map("adaptgrad squared", false, size, 0.1, 4),
                ],
            },
            TargetMaps {
                title: "lynx, class 287 (2.4 %)".into(),
                maps: vec![
                    map("adaptgrad", true, size, 0.2, 9),
                    map("grad-cam", false, [14, 14], 0.1, 5),
                ],
            },
        ],
    };
    let row = InputMaps {
        name: "<script>row</script>.npy".into(),
        picture: None,
        targets: vec![TargetMaps {
            title: "income above 50 k".into(),
            maps: vec![map("adaptgrad", true, [1, 20], 0.3, 6)],
        }],
    };
    MapsPage {
        title: "Maps of 2 inputs by efficientnet-lite0".into(),
        command:
            "attriburn explain cat.jpg row.npy --method gradient,smoothgrad,adaptgrad --seed 1"
                .into(),
        settings: [("model", "efficientnet-lite0.onnx"), ("samples", "50"), ("seed", "1")]
            .map(|(name, value)| (name.into(), value.into()))
            .into(),
        warnings: vec![
            "The model's preprocessing was guessed; pass --preprocess to be certain.".into(),
        ],
        failures: vec!["broken.jpg: the file ends before the picture does".into()],
        inputs: vec![cat, row],
    }
}

/// Returns a page of noise, with standard errors.
pub fn many(inputs: usize, maps: usize) -> MapsPage {
    let input = |i: usize| InputMaps {
        name: format!("photo-{i}.jpg"),
        picture: Some(picture(224, i as u64)),
        targets: vec![TargetMaps {
            title: "a class".into(),
            maps: (0..maps).map(|j| noise(&format!("method {j}"), (i * maps + j) as u64)).collect(),
        }],
    };
    MapsPage { inputs: (0..inputs).map(input).collect(), ..page() }
}

/// Returns a map of normal noise with random standard errors.
fn noise(method: &str, seed: u64) -> Map {
    let mut random = Random(seed);
    let size = 224 * 224;
    Map {
        values: (0..size).map(|_| random.normal()).collect(),
        standard_error: Some((0..size).map(|_| random.normal().exp()).collect()),
        clip: 2.58,
        height: 224,
        width: 224,
        ..map(method, true, [1, 1], 1.0, 0)
    }
}
