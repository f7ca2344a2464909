# The same interface for systemd-networkd, in the running system and in the initrd.
{ lib, network }:
let
  isDhcp = network.addresses == [ ];
in
{
  links."10-uplink" = {
    matchConfig.PermanentMACAddress = network.mac;
    linkConfig.Name = "uplink0";
  };
  networks."10-uplink" = {
    matchConfig.PermanentMACAddress = network.mac;
    networkConfig = {
      DHCP = if isDhcp then "yes" else "no";
      IPv6AcceptRA = isDhcp;
    };
    address = network.addresses;
    routes = map (gateway: {
      Gateway = gateway;
      # Hetzner's gateway lies outside the address's own range on many machines.
      GatewayOnLink = true;
    }) network.gateways;
    linkConfig.RequiredForOnline = "routable";
  };
}
