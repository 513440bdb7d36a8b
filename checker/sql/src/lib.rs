//! SQL over histories: DataFusion session, tables, views.
