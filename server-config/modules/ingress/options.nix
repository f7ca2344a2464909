{ lib, ... }:
let
  inherit (lib) mkOption types;
  fileOnHost = import ../../file-on-host.nix { inherit lib; };

  pair = whose: {
    certificate = fileOnHost "File on the host with the certificate chain of ${whose}, PEM.";
    key = fileOnHost "File on the host with the private key of ${whose}, PEM.";
  };
in
{
  options.berth.ingress = {
    tls = {
      kind = mkOption {
        type = types.enum [
          "cloudflare-origin"
          "acme-dns"
        ];
        default = "acme-dns";
        description = ''
          Where certificates come from: `cloudflare-origin` takes files made in Cloudflare's dashboard and believes
          the visitor's address that Cloudflare names; `acme-dns` has them made by Let's Encrypt through your DNS.
        '';
      };
      previews = pair "the previews (`*.<domain>`)";
      control = pair "the webhook's and the dashboard's host";
      dns = {
        provider = mkOption {
          type = types.nullOr (types.strMatching "[a-z0-9]+");
          default = null;
          example = "hetzner";
          description = "Name of your DNS provider as lego spells it (https://go-acme.github.io/lego/dns/).";
        };
        credentialsFile = fileOnHost "File on the host with the provider's variables, as lego names them.";
        email = mkOption {
          type = types.nullOr types.str;
          default = null;
          description = "Address for the certificate authority's warnings.";
        };
      };
    };

    trustedProxies = mkOption {
      type = types.listOf types.str;
      # https://www.cloudflare.com/ips/, unchanged since 2021.
      default = [
        "173.245.48.0/20"
        "103.21.244.0/22"
        "103.22.200.0/22"
        "103.31.4.0/22"
        "141.101.64.0/18"
        "108.162.192.0/18"
        "190.93.240.0/20"
        "188.114.96.0/20"
        "197.234.240.0/22"
        "198.41.128.0/17"
        "162.158.0.0/15"
        "104.16.0.0/13"
        "104.24.0.0/14"
        "172.64.0.0/13"
        "131.0.72.0/22"
        "2400:cb00::/32"
        "2606:4700::/32"
        "2803:f800::/32"
        "2405:b500::/32"
        "2405:8100::/32"
        "2a06:98c0::/29"
        "2c0f:f248::/32"
      ];
      description = "Proxies that are believed about the visitor's address; used with `cloudflare-origin` only.";
    };
  };
}
