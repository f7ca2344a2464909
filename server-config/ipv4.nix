# Arithmetic on IPv4 ranges, for assertions and derived addresses. Input is checked by the option's type.
{ lib }:
let
  toNumber = address: lib.foldl (sum: octet: sum * 256 + lib.toInt octet) 0 (lib.splitString "." address);
  pow2 = exponent: lib.foldl (product: _: product * 2) 1 (lib.range 1 exponent);
in
rec {
  # "10.100.0.0/16" -> { first = number; size = number of addresses; prefix = 16; }
  parse =
    range:
    let
      parts = lib.splitString "/" range;
      prefix = lib.toInt (lib.elemAt parts 1);
    in
    {
      first = toNumber (lib.head parts);
      size = pow2 (32 - prefix);
      inherit prefix;
    };

  isAligned = range: lib.mod (parse range).first (parse range).size == 0;

  overlap =
    a: b:
    let
      x = parse a;
      y = parse b;
    in
    x.first < y.first + y.size && y.first < x.first + x.size;

  isInside =
    outer: inner:
    let
      x = parse outer;
      y = parse inner;
    in
    x.first <= y.first && y.first + y.size <= x.first + x.size;

  # The nth address of a range, as text.
  address =
    range: n:
    let
      number = (parse range).first + n;
      octet = shift: toString (lib.mod (number / shift) 256);
    in
    "${octet 16777216}.${octet 65536}.${octet 256}.${octet 1}";
}
