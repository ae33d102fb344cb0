//! Clouds of points in text files.

use anyhow::{Context, bail};

/// Reads lines of x, y and z with commas or blanks between them, further columns left out; or PLY as text, whose vertices
/// begin with x, y and z.
pub(super) fn parse(text: &str) -> anyhow::Result<Vec<[f64; 3]>> {
    let mut lines = text.lines().enumerate().map(|(n, line)| (n + 1, line.trim()));
    let mut limit = usize::MAX;
    if text.starts_with("ply") {
        limit = 0;
        let mut properties = Vec::new();
        let mut in_vertices = false;
        for (_, line) in lines.by_ref() {
            let words: Vec<_> = line.split_whitespace().collect();
            match words[..] {
                ["format", format, ..] if format != "ascii" => bail!("only PLY as text can be read, not {format}"),
                ["element", "vertex", count] => {
                    (limit, in_vertices) = (count.parse().context("the number of vertices")?, true);
                }
                ["element", ..] => in_vertices = false,
                ["property", .., name] if in_vertices => properties.push(name),
                ["end_header"] => break,
                _ => {}
            }
        }
        if properties.get(..3) != Some(&["x", "y", "z"]) {
            bail!("vertices of PLY must begin with x, y and z");
        }
    }
    let mut points = Vec::new();
    for (n, line) in lines {
        if points.len() == limit {
            break;
        }
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let columns = line.split([',', ';', ' ', '\t']).filter(|column| !column.is_empty()).take(3);
        let numbers: Option<Vec<f64>> =
            columns.map(|column| column.parse().ok().filter(|number: &f64| number.is_finite())).collect();
        match numbers.as_deref() {
            Some([x, y, z]) => points.push([*x, *y, *z]),
            // The names of columns.
            _ if points.is_empty() && n == 1 => {}
            _ => bail!("line {n}: `{line}` are no three numbers"),
        }
    }
    if limit != usize::MAX && points.len() < limit {
        bail!("the file ends after {} of {limit} vertices", points.len());
    }
    if points.is_empty() {
        bail!("there are no points in it");
    }
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_numbers_are_points() {
        let points = [[1.0, 2.0, 3.0], [-0.5, 0.0, 4.0]];
        assert_eq!(parse("x,y,z\n1,2,3\n\n# a comment\n-0.5, 0, 4, 255\n").unwrap(), points);
        assert_eq!(parse("1 2 3\n-0.5\t0\t4").unwrap(), points);
        assert!(parse("1,2,3\n4,5\n").unwrap_err().to_string().contains("line 2"));
        assert!(parse("1,2,NaN\n4,5,inf").is_err());
        assert!(parse("x,y,z\n").unwrap_err().to_string().contains("no points"));
    }

    #[test]
    fn ply_as_text_is_read() {
        let header = "ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nproperty float y\nproperty float z\n\
            property uchar red\nelement face 1\nproperty list uchar int vertex_index\nend_header\n";
        let body = "1 2 3 9\n4 5 6 9\n3 0 1 2\n";
        assert_eq!(parse(&format!("{header}{body}")).unwrap(), [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
        assert!(parse(&format!("{header}1 2 3 9\n")).unwrap_err().to_string().contains("1 of 2"));
        let binary = header.replace("ascii", "binary_little_endian");
        assert!(parse(&binary).unwrap_err().to_string().contains("as text"));
    }
}
