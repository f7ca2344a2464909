import type { AppManifest, Command } from './app-manifest.ts';

/**
 * The part of a manifest that a closure depends on: what server-config/guest/manifest-options.nix accepts as manifest.json. Routes,
 * limits, health and environment are left out on purpose: changing them must not ask for another closure.
 */
export interface GuestManifest {
  readonly packages: readonly string[];
  readonly setup: { readonly command: Command; readonly timeoutSeconds: number } | null;
  readonly services: readonly { readonly name: string; readonly command: Command; readonly port: number | null }[];
}

/** Packages are sorted and single, so that two apps that want the same share one closure. The order of services is the app's. */
export function guestManifestFrom(manifest: AppManifest): GuestManifest {
  return {
    packages: [...new Set(manifest.packages)].sort(),
    setup: manifest.setup ?? null,
    services: manifest.services.map(({ name, command, port }) => ({ name, command, port: port ?? null })),
  };
}
