# The host of a fleet that the Internet talks to; fleet-worker.nix is the other end of its mesh.
{
  imports = [
    ../profiles/base.nix
    ../profiles/hardened.nix
    ../profiles/hetzner-cloud.nix
    ../profiles/ingress.nix
    (import ../../initial-install/host-from-file.nix {
      name = "berth-2";
      file = ../../initial-install/hosts.example.toml;
    })
  ];

  system.stateVersion = "26.05";

  berth = {
    domain = "previews.example.net";
    webhookHost = "hooks.example.com";
    repositories = [ "acme/shop" ];
    ingress.tls.dns.provider = "hetzner";
    ingress.tls.dns.credentialsFile = "/var/secrets/dns.env";
    ingress.tls.dns.email = "ops@example.com";
    previewOperator.credentials.github-webhook-secret = "/var/secrets/github-webhook-secret";
    previewOperator.credentials.github-token = "/var/secrets/github-token";
    mesh.address = "10.99.0.1";
    mesh.privateKeyFile = "/var/secrets/mesh-key";
    mesh.peers.worker = {
      publicKey = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=";
      endpoint = "203.0.113.10:51820";
      address = "10.99.0.2";
      containerRange = "10.102.0.0/16";
    };
    backup.repository = "sftp:u123456@u123456.your-storagebox.de:ingress";
    backup.passwordFile = "/var/secrets/restic-password";
  };
}
