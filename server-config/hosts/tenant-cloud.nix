# A server lent to one team whose code we do not know.
{
  imports = [
    ../profiles/base.nix
    ../profiles/hardened.nix
    ../profiles/hetzner-cloud.nix
    ../profiles/tenant.nix
    (import ../../initial-install/host-from-file.nix {
      name = "berth-2";
      file = ../../initial-install/hosts.example.toml;
    })
  ];

  system.stateVersion = "26.05";

  berth = {
    domain = "previews.example.net";
    webhookHost = "hooks.example.com";
    repositories = [ "guests/*" ];
    ingress.tls.dns.provider = "hetzner";
    ingress.tls.dns.credentialsFile = "/var/secrets/dns.env";
    ingress.tls.dns.email = "ops@example.com";
    previewOperator.credentials.github-webhook-secret = "/var/secrets/github-webhook-secret";
    previewOperator.credentials.github-token = "/var/secrets/github-token";
    backup.repository = "sftp:u123456@u123456.your-storagebox.de:tenant";
    backup.passwordFile = "/var/secrets/restic-password";
  };
}
