-- Pages in order and counts without the rows behind them.

-- The resources of a type in the default order of a search: a rare type is not looked for among all the others.
create index resource_type on fhir.resource (type, rid) where not deleted;

-- A range of dates or numbers is told by both ends, whichever the index is in the order of.
drop index fhir.date_low;
create index date_low on fhir.date (param, low, rid) include (high);
drop index fhir.date_high;
create index date_high on fhir.date (param, high, rid) include (low);
drop index fhir.quantity_low;
create index quantity_low on fhir.quantity (param, low, rid) include (high);
