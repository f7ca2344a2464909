# The machine of the VM tests: a whole host, with secrets and certificates made at its first boot, as an operator
# would have put them there. It has no network but its own, so GitHub is away: the operator must live with that.
{ lib, pkgs, ... }:
{
  imports = [
    ../../server-config/modules/everything.nix
    ../../server-config/profiles/base.nix
    ../../server-config/profiles/hardened.nix
  ];

  virtualisation = {
    memorySize = 3072;
    diskSize = 8192;
    cores = 2;
  };
  system.stateVersion = "26.05";
  # The test driver's own link.
  networking.useDHCP = lib.mkForce true;

  berth = {
    features = {
      previewOperator = true;
      previewContainers = true;
      database = true;
      ingress = true;
    };
    domain = "previews.example.net";
    webhookHost = "hooks.example.com";
    dashboardHost = "berth.example.com";
    repositories = [ "acme/shop" ];
    adminKeys = [ "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExampleEx you@laptop" ];
    uplink = "eth0";
    ingress.tls = {
      kind = "cloudflare-origin";
      previews = {
        certificate = "/var/secrets/previews.pem";
        key = "/var/secrets/previews-key.pem";
      };
      control = {
        certificate = "/var/secrets/control.pem";
        key = "/var/secrets/control-key.pem";
      };
    };
    previewOperator.credentials = {
      github-webhook-secret = "/var/secrets/github-webhook-secret";
      github-token = "/var/secrets/github-token";
    };
  };

  environment.systemPackages = [
    pkgs.curl
    pkgs.jq
    pkgs.netcat
    pkgs.openssl
  ];

  systemd.services.test-secrets = {
    description = "Secrets and certificates of the test";
    wantedBy = [ "multi-user.target" ];
    requiredBy = [
      "berth-operator.service"
      "berth-web.service"
      "caddy.service"
    ];
    before = [
      "berth-operator.service"
      "berth-web.service"
      "caddy.service"
    ];
    serviceConfig.Type = "oneshot";
    serviceConfig.RemainAfterExit = true;
    path = [ pkgs.openssl ];
    script = ''
      mkdir -p /var/secrets
      chmod 0700 /var/secrets
      cd /var/secrets
      [ -e github-token ] && exit 0
      certificate() {
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
          -subj "/CN=$1" -addext "subjectAltName=$2" -keyout "$1-key.pem" -out "$1.pem"
      }
      certificate previews 'DNS:*.previews.example.net'
      certificate control 'DNS:hooks.example.com,DNS:berth.example.com'
      openssl rand -hex 32 > github-webhook-secret
      openssl rand -hex 20 | sed 's/^/ghp_/' > github-token
      chmod 0400 *
    '';
  };
}
