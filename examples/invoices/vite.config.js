import { defineConfig } from 'vite';

export default defineConfig({
    base: '/build/',
    publicDir: false,
    build: {
        outDir: 'public/build',
        manifest: 'manifest.json',
        rollupOptions: { input: 'resources/js/app.js' },
    },
});
