//! `docs/history-schema.md` says what the code does.

use arrow::datatypes::{DataType, Field};
use fissure_history::Table;

/// The type of a field as the document writes it.
fn shown(data_type: &DataType) -> String {
    match data_type {
        DataType::Int64 => "int64".to_owned(),
        DataType::Utf8 => "string".to_owned(),
        DataType::List(item) => format!("list<{}>", shown(item.data_type())),
        DataType::Struct(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|field| format!("{} {}", field.name(), shown_field(field))).collect();
            format!("struct<{}>", fields.join(", "))
        }
        other => panic!("{other} is not a plain type"),
    }
}

fn shown_field(field: &Field) -> String {
    format!("{}{}", shown(field.data_type()), if field.is_nullable() { "?" } else { "" })
}

/// Columns of the table under a heading: names and types.
fn documented(text: &str, table: Table) -> Vec<(String, String)> {
    let heading = format!("\n## {} — ", table.name());
    let (_, section) = text.split_once(&heading).unwrap_or_else(|| panic!("no section for {}", table.name()));
    let section = section.split("\n## ").next().unwrap();
    // The first table of the section has the columns; what comes behind it explains them.
    let lines = section.lines().skip_while(|line| !line.starts_with("| column")).skip(2);
    let rows = lines.take_while(|line| line.starts_with("| "));
    rows.flat_map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let names: Vec<&str> = cells[1].split(", ").collect();
        let types: Vec<&str> = if names.len() > 1 { cells[2].split(", ").collect() } else { vec![cells[2]] };
        let type_of = move |index: usize| if types.len() == 1 { types[0] } else { types[index] }.to_owned();
        names.into_iter().enumerate().map(|(index, name)| (name.to_owned(), type_of(index))).collect::<Vec<_>>()
    })
    .collect()
}

#[test]
fn the_document_has_every_column_with_its_type_in_the_order_of_the_files() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/history-schema.md");
    let text = std::fs::read_to_string(path).unwrap();
    for table in Table::ALL {
        let schema = table.schema();
        let code: Vec<(String, String)> =
            schema.fields().iter().map(|field| (field.name().clone(), shown_field(field))).collect();
        assert_eq!(documented(&text, table), code, "table {}", table.name());
    }
}
