# A host of a fleet that runs previews; the Internet reaches it by SSH only.
{
  imports = [
    ../profiles/base.nix
    ../profiles/hardened.nix
    ../profiles/hetzner-dedicated.nix
    ../profiles/worker.nix
    (import ../../initial-install/host-from-file.nix {
      name = "berth-1";
      file = ../../initial-install/hosts.example.toml;
    })
  ];

  system.stateVersion = "26.05";

  berth = {
    domain = "previews.example.net";
    repositories = [ "acme/shop" ];
    containerRange = "10.102.0.0/16";
    previewOperator.credentials.github-webhook-secret = "/var/secrets/github-webhook-secret";
    previewOperator.credentials.github-token = "/var/secrets/github-token";
    mesh.address = "10.99.0.2";
    mesh.privateKeyFile = "/var/secrets/mesh-key";
    mesh.peers.ingress = {
      publicKey = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI=";
      endpoint = "203.0.113.20:51820";
      address = "10.99.0.1";
    };
    binaryCache.serve.address = "10.99.0.2";
    binaryCache.serve.signKeyFile = "/var/secrets/cache-key";
    backup.repository = "sftp:u123456@u123456.your-storagebox.de:worker";
    backup.passwordFile = "/var/secrets/restic-password";
  };
}
