# One dedicated server behind Cloudflare that does everything.
{
  imports = [
    ../profiles/base.nix
    ../profiles/hardened.nix
    ../profiles/hetzner-dedicated.nix
    ../profiles/all-in-one.nix
    # Disks, network and your key, as the installer knows them too.
    (import ../../initial-install/host-from-file.nix {
      name = "berth-1";
      file = ../../initial-install/hosts.example.toml;
    })
  ];

  system.stateVersion = "26.05";

  berth = {
    domain = "previews.example.net";
    webhookHost = "hooks.example.com";
    repositories = [ "acme/*" ];
    ingress.tls.kind = "cloudflare-origin";
    ingress.tls.previews.certificate = "/var/secrets/previews.pem";
    ingress.tls.previews.key = "/var/secrets/previews-key.pem";
    ingress.tls.control.certificate = "/var/secrets/control.pem";
    ingress.tls.control.key = "/var/secrets/control-key.pem";
    previewOperator.credentials.github-webhook-secret = "/var/secrets/github-webhook-secret";
    previewOperator.credentials.github-token = "/var/secrets/github-token";
    database.memoryMiB = 8192;
    backup.repository = "sftp:u123456@u123456.your-storagebox.de:berth-1";
    backup.passwordFile = "/var/secrets/restic-password";
  };
}
