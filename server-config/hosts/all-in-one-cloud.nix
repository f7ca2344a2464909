# One Hetzner Cloud server that does everything.
{
  imports = [
    ../profiles/base.nix
    ../profiles/hardened.nix
    ../profiles/hetzner-cloud.nix
    ../profiles/all-in-one.nix
    # Disks, network and your key, as the installer knows them too.
    (import ../../initial-install/host-from-file.nix {
      name = "berth-2";
      file = ../../initial-install/hosts.example.toml;
    })
  ];

  system.stateVersion = "26.05";

  berth = {
    domain = "previews.example.net";
    webhookHost = "hooks.example.com";
    dashboardHost = "berth.example.com";
    repositories = [ "acme/shop" ];
    ingress.tls.dns = {
      provider = "hetzner";
      credentialsFile = "/var/secrets/dns.env";
      email = "ops@example.com";
    };
    previewOperator.githubApp = {
      id = 123456;
      installationId = 7654321;
    };
    previewOperator.credentials = {
      github-webhook-secret = "/var/secrets/github-webhook-secret";
      github-app-private-key = "/var/secrets/github-app.pem";
    };
    backup.repository = "sftp:u123456@u123456.your-storagebox.de:berth-1";
    backup.passwordFile = "/var/secrets/restic-password";
  };
}
