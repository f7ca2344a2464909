{ lib, ... }:
let
  host = {
    services.openssh.enable = true;
    berth.features.firewall = true;
  };
  withContainers = {
    imports = [ host ];
    berth.features.previewContainers = true;
  };
in
{
  "only SSH is open on a host without ingress" = {
    modules = [ host ];
    shows = config: {
      ports = {
        actual = lib.unique config.networking.firewall.allowedTCPPorts;
        equals = [ 22 ];
      };
      udp = {
        actual = config.networking.firewall.allowedUDPPorts;
        equals = [ ];
      };
      "no tenant table without containers" = {
        actual = config.systemd.services ? berth-tenant-rules;
        equals = false;
      };
    };
  };

  "the tenant rules carry the host's values" = {
    modules = [
      withContainers
      {
        berth.uplink = "enp5s0";
        berth.previewContainers.allowedPorts = [ 443 ];
        berth.firewall.deniedAddresses = [ "203.0.113.7" ];
        berth.firewall.routedFrom = [ "wg-berth" ];
      }
    ];
    shows = config: {
      "rules" = {
        actual = config.environment.etc."berth/tenants.nft".source.text;
        contains = [
          ''define uplink = "enp5s0"''
          "define resolver = 10.100.0.1"
          "define internet_ports = { 443 }"
          "define denied = { 203.0.113.7 }"
          ''define routed_from = { "wg-berth", "lo" }''
        ];
      };
      "containers wait for the rules" = {
        actual = config.systemd.units."container@.service".text;
        contains = [
          "Wants=berth-tenant-rules.service"
          "After=berth-tenant-rules.service"
        ];
        lacks = "Requires=berth-tenant-rules.service";
      };
      "and do not start without them" = {
        actual = config.systemd.services."container@".preStart;
        contains = "/bin/nft list table inet berth";
      };
      "before the network" = {
        actual = config.systemd.units."berth-tenant-rules.service".text;
        contains = "Before=network-pre.target";
      };
      "stopping opens nothing" = {
        actual = config.systemd.units."berth-tenant-rules.service".text;
        lacks = "ExecStop";
      };
      "the host's own filter lets in two services" = {
        actual = config.networking.nftables.tables.nixos-fw.content;
        contains = [
          ''iifname "ve-*" tcp dport 5432 ip daddr 10.100.0.0/16 accept''
          ''iifname "ve-*" ip daddr 10.100.0.1 meta l4proto { tcp, udp } th dport 53 accept''
        ];
      };
    };
  };

  "a port that some module opened" = {
    modules = [
      host
      { networking.firewall.allowedTCPPorts = [ 9100 ]; }
    ];
    refused = "TCP port 9100 would be open to the Internet";
  };
  "a range of ports" = {
    modules = [
      host
      {
        networking.firewall.allowedTCPPortRanges = [
          {
            from = 8000;
            to = 8100;
          }
        ];
      }
    ];
    refused = "allowedTCPPortRanges opens a range";
  };
  "the NixOS firewall switched off" = {
    modules = [
      host
      { networking.firewall.enable = false; }
    ];
    refused = "networking.firewall.enable is false although";
  };
  "containers without the firewall" = {
    modules = [
      withContainers
      { berth.features.firewall = lib.mkForce false; }
    ];
    refused = "berth.features.previewContainers needs berth.features.firewall";
  };
  "an interface name with a quote" = {
    modules = [
      withContainers
      { berth.uplink = ''eth0" accept #''; }
    ];
    throws = "berth.uplink";
  };
  "no port at all" = {
    modules = [
      withContainers
      { berth.previewContainers.allowedPorts = [ ]; }
    ];
    throws = "berth.previewContainers.allowedPorts";
  };
}
