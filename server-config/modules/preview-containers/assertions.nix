{ config, lib, ... }:
let
  ipv4 = import ../../ipv4.nix { inherit lib; };
  range = config.berth.containerRange;
  private = [
    "10.0.0.0/8"
    "100.64.0.0/10"
    "172.16.0.0/12"
    "192.168.0.0/16"
  ];
  own = map (a: "${a.address}/32") (lib.concatMap (i: i.ipv4.addresses) (lib.attrValues config.networking.interfaces));
in
{
  config.assertions = lib.mkIf config.berth.features.previewContainers [
    {
      assertion = ipv4.isAligned range;
      message = "berth.containerRange ${range} does not start at a multiple of its size. Write its first address, e.g. 10.100.0.0/16.";
    }
    {
      # A slot takes two addresses; a /28 holds 7 slots, a /12 half a million.
      assertion = (ipv4.parse range).prefix >= 12 && (ipv4.parse range).prefix <= 28;
      message = "berth.containerRange ${range} must have a prefix from /12 to /28.";
    }
    {
      assertion = lib.any (outer: ipv4.isInside outer range) private;
      message = "berth.containerRange ${range} is not a private range: containers would hide part of the Internet.";
    }
    {
      assertion = !(lib.any (ipv4.overlap range) own);
      message = "berth.containerRange ${range} holds an address of this host's own (networking.interfaces). Choose another range.";
    }
    {
      assertion = !(lib.elem 25 config.berth.previewContainers.allowedPorts);
      message = "berth.previewContainers.allowedPorts has 25: containers could send mail in your name. Remove it.";
    }
  ];
}
