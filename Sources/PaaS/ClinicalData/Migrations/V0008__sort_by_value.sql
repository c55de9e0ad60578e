-- Numbers in the order of their values: the range of a value's digits lies around it, so twice the value is the sum of its ends.
create index quantity_value on fhir.quantity (param, (low + high), rid);
